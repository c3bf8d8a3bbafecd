"""Controllers on a small simulated day, and the steps of a flight."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.auctions.snapshot import forget_snapshots, read_snapshot
from apps.ads.budgets.models import FlightBudget
from apps.ads.campaigns.models import Flight
from apps.ads.campaigns.targeting import hours_of_week
from apps.ads.pacing.goals import progress_of
from apps.ads.pacing.models import FlightPacing
from apps.ads.pacing.schedule import Schedule
from apps.ads.pacing.selectors import spending_of, steps_of
from apps.ads.pacing.services import _read_plans, add_up_goals, pace_flights
from apps.ads.settings import change_settings
from apps.ads.tracking.models import Delivery
from ml.policy.pacing import LARGEST_DUAL, PidState, adaptive_step, bid_factor, pid_step
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import BROWSER, UNIT, make_live_flight, make_placement, place, see
from tests.conftest import ApiClient

HOURS, STEPS_AN_HOUR = 24, 60
WORKING_HOURS = [{"days": [0, 1, 2, 3, 4], "from": 8, "to": 20}]
HALF_HOUR = timedelta(minutes=30)
# Days on which clocks are changed.
CHANGES = {
    "UTC": [date(2026, 6, 1)],
    "Asia/Kolkata": [date(2026, 6, 1)],
    "Europe/Berlin": [date(2026, 3, 29), date(2026, 10, 25)],
    "America/St_Johns": [date(2026, 3, 8), date(2026, 11, 1)],
    "America/Santiago": [date(2026, 4, 5), date(2026, 9, 6)],  # at midnight
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],  # by half an hour
}


def spend_a_day(kind: str, budget: float, seed: int) -> np.ndarray:
    """Spending by hour (24,) of one flight in second-price auctions whose traffic and competition change over the
    day; `greedy` has no controller."""
    rng = np.random.default_rng(seed)
    spent, dual, state, share, hourly = 0.0, 0.0, PidState(), 1.0, np.zeros(HOURS)
    steps = HOURS * STEPS_AN_HOUR
    for step in range(steps):
        traffic = rng.poisson(20 * (1 + 0.5 * np.sin(2 * np.pi * step / steps)))
        rivals = rng.lognormal(0, 0.5, traffic)
        bid = 2.0 * bid_factor(dual)
        wins = (rivals < bid) & (rng.random(traffic) < share)
        cost = float(rivals[wins].sum())
        cost = min(cost, budget - spent)
        target = (budget - spent) / (steps - step)
        if kind == "adaptive" and target > 0:
            dual = adaptive_step(dual, target=target, spent=cost, step=0.1)
        if kind == "pid" and target > 0:
            state, share = pid_step(state, target=target, spent=cost)
        spent += cost
        hourly[step // STEPS_AN_HOUR] += cost
    return hourly


@pytest.mark.parametrize("kind", ["adaptive", "pid"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_controller_spends_the_whole_budget_and_spends_it_evenly(kind: str, seed: int) -> None:
    budget = 6000.0  # about a third of what greedy bidding could spend
    hourly = spend_a_day(kind, budget, seed)
    greedy = spend_a_day("greedy", budget, seed)

    assert 0.99 * budget <= hourly.sum() <= budget + 1e-6
    assert np.abs(hourly[1:] / (budget / HOURS) - 1).max() < 0.25
    assert greedy[12:].sum() == 0  # without one, the money is gone by noon


def test_the_dual_rises_with_spending_and_stays_in_its_range() -> None:
    assert adaptive_step(0.0, target=10, spent=0) == 0.0
    assert adaptive_step(1.0, target=10, spent=20, step=0.3) == pytest.approx(1.3)
    assert adaptive_step(1.0, target=10, spent=5, step=0.3) == pytest.approx(0.85)
    assert adaptive_step(LARGEST_DUAL, target=1, spent=1e9) == LARGEST_DUAL
    assert bid_factor(1.0) == 0.5


def test_what_an_outage_kept_back_is_made_good_and_shown(scope: Tenant) -> None:
    now = timezone.now()
    flight = make_live_flight(
        budget_micros=100 * UNIT, starts_at=now - timedelta(hours=6), ends_at=now + timedelta(hours=6), pacing="pid"
    )
    pace_flights(now)
    (step,) = steps_of(flight.id)
    # Half of the time is over and nothing was spent.
    assert step.planned_micros == pytest.approx(50 * UNIT, rel=0.001)
    assert step.make_good_micros == step.planned_micros - step.spent_micros

    # It spends faster than an even plan would, and slower than twice as fast as what is left asks.
    FlightBudget.objects.filter(flight_id=flight.id).update(spent_micros=10 * UNIT)
    pace_flights(now + timedelta(minutes=36))
    assert FlightPacing.objects.get(flight_id=flight.id).pass_rate == pytest.approx(1.0, abs=0.01)


def test_a_flight_with_a_goal_delivers_it_by_its_end_and_not_before(scope: Tenant) -> None:
    now = timezone.now()
    values = {"starts_at": now - timedelta(hours=5), "ends_at": now + timedelta(hours=5), "pacing": "pid"}
    # 2 a thousand: 100 impressions are 0.2 of a budget of 100.
    modest = make_live_flight(goal_kind="impressions", goal=100, **values)
    plain = make_live_flight(**values)
    pace_flights(now)
    # In five minutes, where the goal asks for one or two and the budget for thousands.
    FlightBudget.objects.update(spent_micros=24_000, billed_events=12)
    pace_flights(now + timedelta(minutes=5))

    rates = {each.flight_id: each.pass_rate for each in FlightPacing.objects.all()}
    assert rates[modest.id] < 0.5
    assert rates[plain.id] == 1.0
    progress = progress_of([modest.id, plain.id], now)
    assert progress.keys() == {modest.id}
    assert (progress[modest.id].achieved, progress[modest.id].planned) == (12, 50)
    assert (progress[modest.id].expected, progress[modest.id].is_on_track) == (24, False)


@pytest.mark.parametrize(("kind", "achieved"), [("impressions", 2), ("clicks", 1), ("conversions", 0)])
def test_what_was_not_bought_is_counted_in_the_deliveries(kind: str, achieved: int, scope: Tenant) -> None:
    make_placement()
    flight = make_live_flight(bid_kind="cpa", bid_micros=UNIT, goal_kind=kind, goal=10, pacing="pid")
    placed = [each for _ in range(3) for each in decide(Ask(("top",), user_agent=BROWSER))]
    for each in placed[:2]:
        see(each.decision_id)
    Delivery.objects.filter(delivery_id=placed[0].decision_id).update(clicked_at=timezone.now())
    assert progress_of([flight.id])[flight.id].achieved == achieved


@pytest.mark.parametrize("kind", ["impressions", "clicks"])
def test_what_old_ads_brought_is_added_up_once_and_open_ones_are_waited_for(kind: str, scope: Tenant) -> None:
    make_placement()
    flight = make_live_flight(bid_kind="cpa", bid_micros=UNIT, pacing="pid", goal_kind=kind, goal=10)

    def added_up(**span: float) -> tuple[int, int]:
        """What is kept of the old ads, and what there is in all."""
        add_up_goals(timezone.now() + timedelta(**span))
        return getattr(FlightPacing.objects.get(), kind), progress_of([flight.id])[flight.id].achieved

    def see_and_click(delivery: UUID) -> None:
        see(delivery)
        Delivery.objects.filter(delivery_id=delivery).update(clicked_at=timezone.now())

    pace_flights()
    placed = [place() for _ in range(4)]
    still_open = placed.pop(2)
    Delivery.objects.filter(delivery_id=still_open).update(expires_at=timezone.now() + timedelta(days=3))
    for delivery in placed:
        see_and_click(delivery)
    assert added_up() == (0, 3)
    assert added_up(days=3) == (2, 3)
    see_and_click(still_open)
    assert added_up(days=3) == (4, 4)
    assert added_up(days=4) == (4, 4)


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("2026-05-04 00:00", "2026-05-11 00:00", 5 * 12),
        ("2026-05-04 07:00", "2026-05-04 09:30", 1.5),
        ("2026-05-04 21:00", "2026-05-05 07:00", 0),
        ("2026-05-08 19:00", "2026-05-11 09:00", 2),  # over a weekend
        ("2026-05-01 00:00", "2027-04-30 00:00", 52 * 60),
        ("2026-03-27 00:00", "2026-04-01 00:00", 3 * 12),  # clocks are put forward on Sunday
        ("2020-01-01 00:00", "2026-03-01 00:00", 0),  # before it starts
    ],
)
def test_only_the_hours_that_a_flight_targets_are_its_time(since: str, until: str, hours: float, scope: Tenant) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    change_settings({"timezone": "Europe/Berlin"}, actor="test")
    moments = [datetime.fromisoformat(each).replace(tzinfo=berlin) for each in (since, until)]
    year = datetime(2026, 3, 1, tzinfo=berlin), datetime(2027, 5, 1, tzinfo=berlin)
    schedule = Schedule.of(*year, {"hours": WORKING_HOURS})
    assert schedule.seconds(*moments) == hours * 3600


def test_a_flight_of_some_hours_spends_its_day_in_them_and_rests_in_between(scope: Tenant) -> None:
    monday = datetime(2035, 5, 7, tzinfo=UTC)
    flight = make_live_flight(
        starts_at=monday,
        ends_at=monday + timedelta(days=7),
        pacing="pid",
        budget_micros=500 * UNIT,
        daily_budget_micros=100 * UNIT,
        targeting={"hours": WORKING_HOURS},
    )
    (plan,) = _read_plans(monday + timedelta(hours=8), monday.date())
    midnight = monday + timedelta(days=1)
    # At eight, a day's budget is left for twelve hours; at two, half of them are over.
    assert plan.rate(monday + timedelta(hours=8), midnight) == pytest.approx(100 * UNIT / (12 * 3600))
    assert plan.planned(monday + timedelta(hours=14)) == 50 * UNIT
    assert plan.planned(monday + timedelta(hours=23)) == plan.planned(midnight + timedelta(hours=8)) == 100 * UNIT

    pace_flights(monday + timedelta(hours=20))
    before = FlightPacing.objects.get(flight_id=flight.id)
    FlightBudget.objects.update(spent_micros=100 * UNIT)
    pace_flights(monday + timedelta(hours=30))
    after = FlightPacing.objects.get(flight_id=flight.id)
    assert (after.integral, after.error, after.pass_rate) == (before.integral, before.error, before.pass_rate)
    assert spending_of(flight, monday + timedelta(hours=30))["make_good_micros"] == 0


def test_a_plan_asks_for_no_more_than_the_days_allow(scope: Tenant) -> None:
    begin = datetime(2035, 6, 1, tzinfo=UTC)
    month = {"starts_at": begin, "ends_at": begin + timedelta(days=30)}
    flight = make_live_flight(budget_micros=1_000 * UNIT, daily_budget_micros=10 * UNIT, **month)
    found = spending_of(flight, begin + timedelta(days=15))
    assert (found["planned_micros"], found["make_good_micros"]) == (150 * UNIT, 150 * UNIT)
    (plan,) = _read_plans(begin + timedelta(days=15), begin.date())
    assert plan.planned(begin + timedelta(days=30)) == 300 * UNIT


def test_a_plan_asks_for_no_more_than_the_days_until_now_allow(scope: Tenant) -> None:
    change_settings({"timezone": "Europe/Berlin"}, actor="test")
    begin = datetime(2035, 11, 27, tzinfo=UTC)
    flight = make_live_flight(
        starts_at=begin, ends_at=begin + timedelta(days=1), budget_micros=1_000 * UNIT, daily_budget_micros=100 * UNIT
    )
    FlightBudget.objects.update(spent_micros=100 * UNIT)
    # Its second day, of one hour, begins at 23:00 UTC.
    assert spending_of(flight, begin + timedelta(hours=22, minutes=59))["make_good_micros"] == 0
    assert spending_of(flight, begin + timedelta(hours=23, minutes=30))["make_good_micros"] > 90 * UNIT


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Around a day on which clocks are changed. Spans have two hours at least: one alone may be left out by clocks."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = datetime.combine(draw(st.sampled_from(CHANGES[zone])), datetime.min.time(), tzinfo=UTC)
    starts_at = change + draw(st.integers(-5 * 48, 48)) * HALF_HOUR
    parts = st.tuples(st.sets(st.integers(0, 6), min_size=1), st.integers(0, 22), st.integers(2, 24))
    spans = [
        {"days": days, "from": hour, "to": min(hour + length, 24)}
        for days, hour, length in draw(st.lists(parts, max_size=3))
    ]
    ends_at = starts_at + draw(st.integers(6, 9 * 48)) * HALF_HOUR
    return Schedule(starts_at, ends_at, frozenset(hours_of_week({"hours": spans})), ZoneInfo(zone))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
# It starts in the hour that clocks show again.
@example(
    Schedule(
        datetime(2026, 10, 25, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 9, tzinfo=UTC),
        frozenset(range(100, 168)),
        ZoneInfo("Europe/Berlin"),
    ),
    10**9,
    None,
)
@given(schedules(), st.integers(1, 10**15), st.none() | st.integers(1, 10**15))
def test_a_plan_never_falls_and_ends_at_what_budget_and_days_allow(
    schedule: Schedule, budget: int, daily_budget: int | None
) -> None:
    planned, days, now = [schedule.planned(budget, daily_budget, schedule.starts_at)], set(), schedule.starts_at
    while now < schedule.ends_at:
        clock = now.astimezone(schedule.zone)
        if clock.weekday() * 24 + clock.hour in schedule.hours:
            days.add(clock.date())
        now += HALF_HOUR
        planned.append(schedule.planned(budget, daily_budget, now))
        assert schedule.days(now) == len(days)
        assert planned[-1] <= (budget if daily_budget is None else min(budget, daily_budget * len(days)))
    assert planned[0] == 0
    assert planned[-1] == (budget if daily_budget is None else min(budget, daily_budget * len(days)))
    assert all(before <= after for before, after in pairwise(planned))


def test_a_flight_without_an_end_in_sight_is_paced_and_stops_no_other(scope: Tenant) -> None:
    """As they could be made before such years were refused."""
    change_settings({"timezone": "Asia/Tokyo"}, actor="test")
    flight = make_live_flight(daily_budget_micros=10 * UNIT, targeting={"hours": WORKING_HOURS}, pacing="pid")
    make_live_flight(pacing="pid")
    Flight.objects.filter(id=flight.id).update(ends_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    flight.refresh_from_db()
    assert pace_flights() == 2
    assert spending_of(flight)["planned_micros"] == 0


def test_progress_by_api(tenant: Tenant, api: ApiClient) -> None:
    now = timezone.now()
    ends = {"starts_at": now - timedelta(hours=5), "ends_at": now + timedelta(hours=5)}
    with tenant_scope(tenant.id):
        flight = make_live_flight(goal_kind="clicks", goal=10, bid_kind="cpc", pacing="pid", **ends)
        FlightBudget.objects.update(billed_events=5, spent_micros=40 * UNIT)
    answer = api.get(f"ads/flights/{flight.id}/progress").json()
    assert answer["spent_micros"] == 40 * UNIT
    assert answer["make_good_micros"] == pytest.approx(10 * UNIT, rel=0.01)
    assert answer["goal"] | {"planned": 5} == {
        "goal_kind": "clicks",
        "goal": 10,
        "achieved": 5,
        "planned": 5,
        "expected": 10,
        "is_on_track": True,
    }


def test_a_flight_that_runs_ahead_is_slowed_and_decisions_hear_of_it(scope: Tenant) -> None:
    now = timezone.now()
    adaptive = make_live_flight(pacing="adaptive", starts_at=now)
    throttled = make_live_flight(pacing="pid")
    eager = make_live_flight(pacing="asap")
    pace_flights(now)
    FlightBudget.objects.update(spent_micros=20 * UNIT)
    pace_flights(now + timedelta(seconds=30))

    forget_snapshots()
    ads = {ad.flight_id: ad for ad in read_snapshot().ads}
    assert ads[adaptive.id].bid_factor < 0.5
    assert ads[throttled.id].pass_rate < 0.5
    assert (ads[eager.id].bid_factor, ads[eager.id].pass_rate) == (1.0, 1.0)


def test_a_flight_that_has_long_run_is_slowed_within_minutes(scope: Tenant) -> None:
    now = timezone.now()
    flight = make_live_flight(pacing="adaptive", starts_at=now - timedelta(hours=1))
    pace_flights(now)
    factors = []
    for step in range(1, 7):
        FlightBudget.objects.update(spent_micros=step * UNIT)
        pace_flights(now + step * timedelta(seconds=30))
        factors.append(FlightPacing.objects.get(flight_id=flight.id).bid_factor)
    assert factors == sorted(factors, reverse=True)
    assert factors[0] > 0.7, "one burst may be chance"
    assert factors[-1] < 0.5
