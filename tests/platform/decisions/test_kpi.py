"""KPI of scenarios: which events count for which list, once, and what the figures and their intervals say."""

from collections.abc import Sequence
from datetime import UTC, date, timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from behavior.models import Event
from catalog.services import upsert_items
from decisions.counting import recount_kpi, refresh_kpi
from decisions.kpi import Figures, Kpi, Period, mean_of, scenario_kpi, share
from decisions.models import Decision, ListCount, ListOutcome, ShownItem
from decisions.selectors import count_shown_items
from decisions.services import record_decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

NOW = timedelta(0)


SUBJECT = b"s" * 32


def give_list(
    *items: str,
    scenario: str = "home",
    latency_ms: float = 5.0,
    request: dict[str, Any] | None = None,
    **values: Any,
) -> Decision:
    return record_decision(
        decision_id=uuid7(),
        application="recommendation",
        scenario=scenario,
        policy="greedy",
        request=request or {},
        items=[
            {"id": item, "rank": rank, "score": 1.0, "propensity": 1.0, "reasons": [], "rules": []}
            for rank, item in enumerate(items, start=1)
        ],
        latency_ms=latency_ms,
        **values,
    )


def follow(decision: Decision, type: str, item: str | None, after: timedelta = NOW, **values: Any) -> None:
    Event.objects.create(
        received_at=timezone.now(),
        occurred_at=decision.decided_at + after,
        time_quality="server",
        subject_key=SUBJECT,
        type=type,
        item_id=item,
        decision_id=decision.decision_id,
        source="test",
        **values,
    )


def mail_list(*items: str, **values: Any) -> Decision:
    """A list of a batch."""
    return give_list(*items, request={"batch": str(uuid7())}, **values)


def today(scenario: str = "home") -> Kpi:
    refresh_kpi(committed_after=NOW)
    day = timezone.now().astimezone(UTC).date()
    return scenario_kpi(scenario, Period(day, day))


def test_a_list_that_was_clicked_carted_and_bought(scope: Tenant) -> None:
    upsert_items([{"id": each} for each in ("tent", "boot", "lamp", "rope")])
    sold = give_list("tent", "boot", latency_ms=10.0)
    give_list("tent", "lamp", latency_ms=20.0, degraded="rules")
    for type, item in (("impression", "tent"), ("impression", "boot"), ("click", "tent"), ("add_to_cart", "tent")):
        follow(sold, type, item)
    follow(sold, "purchase", "tent", value=80.0, currency="EUR")

    total = today().total
    assert (total.lists, total.items, total.degraded_lists) == (2, 4, 1)
    assert (total.seen, total.clicked, total.carted, total.bought) == (2, 1, 1, 1)
    assert total.click_rate is not None
    assert total.click_rate.value == 0.5
    assert total.revenue_per_1000 is not None
    assert total.revenue_per_1000.value == 40_000.0
    assert total.latency_p50_ms == pytest.approx(10.0, rel=0.05)
    assert total.latency_p95_ms == pytest.approx(20.0, rel=0.05)
    assert today().currency == "EUR"
    assert today().coverage.share == 0.75


def test_the_same_click_counts_once_and_other_items_do_not(scope: Tenant) -> None:
    shown = give_list("tent", "boot")
    for _ in range(3):
        follow(shown, "click", "tent")
    follow(shown, "view", "tent")
    follow(shown, "click", "an item of another list")
    follow(shown, "click", None)

    assert (today().total.clicked, today().total.lists_clicked) == (1, 1)


@pytest.mark.parametrize(
    ("type", "after", "counts"),
    [
        ("click", timedelta(minutes=29), True),
        ("click", timedelta(minutes=31), False),
        ("impression", timedelta(minutes=31), False),
        ("purchase", timedelta(minutes=31), True),
        ("purchase", timedelta(days=6, hours=23), True),
        ("purchase", timedelta(days=7, minutes=1), False),
        ("add_to_cart", timedelta(days=6), True),
        ("click", timedelta(minutes=-4), True),
        ("click", timedelta(minutes=-6), False),
    ],
)
def test_an_event_counts_within_its_window(scope: Tenant, type: str, after: timedelta, counts: bool) -> None:
    follow(give_list("tent"), type, "tent", after)

    total = today().total
    assert total.seen + total.clicked + total.carted + total.bought == counts


def test_windows_are_a_setting(scope: Tenant, settings: Any) -> None:
    settings.CLICK_WINDOW_MINUTES = 60
    follow(give_list("tent"), "click", "tent", timedelta(minutes=45))
    assert today().total.clicked == 1


def test_what_comes_late_is_counted_and_nothing_twice(scope: Tenant) -> None:
    shown = give_list("tent")
    assert today().total.lists_clicked == 0

    follow(shown, "click", "tent")
    follow(shown, "purchase", "tent", value=5.0)
    first = today().total
    again = today().total
    assert (first.lists, first.lists_clicked, first.revenue) == (1, 1, 5.0)
    assert again == first


def test_a_batchs_list_counts_once_from_the_first_event_that_names_it(scope: Tenant) -> None:
    upsert_items([{"id": "tent"}, {"id": "boot"}])
    mailed, unopened = mail_list("tent", "boot"), mail_list("lamp")
    follow(unopened, "email_sent", None)
    assert today().total.lists == 0

    follow(mailed, "impression", "tent")
    opened = today()
    assert (opened.total.lists, opened.total.items, opened.total.seen, opened.coverage.shown) == (1, 2, 1, 2)

    follow(mailed, "click", "boot")
    follow(mailed, "purchase", "boot", value=5.0)
    clicked = today().total
    assert (clicked.lists, clicked.items, clicked.lists_clicked, clicked.revenue) == (1, 2, 1, 5.0)
    recount_kpi()
    assert today().total == clicked


def test_the_windows_of_a_batchs_list_begin_when_it_is_opened(scope: Tenant, settings: Any) -> None:
    settings.CLICK_WINDOW_MINUTES = 0.1
    before = timedelta(seconds=10)
    for made in (mail_list, give_list):
        follow(made("tent", "boot", decided_at=timezone.now() - before), "click", "tent", before)

    total = today().total
    assert (total.lists, total.clicked) == (2, 1)

    follow(mail_list("tent"), "click", "tent", timedelta(seconds=7))
    assert today().total.clicked == 1


def test_rotation_counts_a_batchs_list_as_shown_when_it_was_opened(scope: Tenant) -> None:
    give_list("rope", subject_key=SUBJECT)
    mailed, to_another = mail_list("tent", "boot", subject_key=SUBJECT), mail_list("lamp", subject_key=b"o" * 32)

    def shown() -> dict[str, int]:
        since = timezone.now() - timedelta(days=1)
        return dict(count_shown_items([SUBJECT], application="recommendation", since=since))

    assert shown() == {"rope": 1}
    follow(mailed, "click", "boot")
    follow(mailed, "impression", "boot")
    follow(to_another, "click", "lamp")
    assert shown() == {"rope": 1, "tent": 1, "boot": 1}


def test_counting_anew_gives_the_same(scope: Tenant) -> None:
    shown = give_list("tent", "boot")
    follow(shown, "click", "boot")
    before = today().total
    recount_kpi()
    assert today().total == before


def test_a_refresh_never_goes_back_over_what_it_counted(scope: Tenant) -> None:
    give_list("tent")
    refresh_kpi(committed_after=NOW)
    refresh_kpi()
    refresh_kpi(committed_after=NOW)
    assert sum(ListCount.objects.values_list("lists", flat=True)) == 1


def test_revenue_of_several_currencies_is_not_added_up(scope: Tenant) -> None:
    for value, currency in ((10.0, "EUR"), (20.0, "EUR"), (9_000.0, "JPY")):
        follow(give_list("tent"), "purchase", "tent", value=value, currency=currency)

    kpi = today()
    assert (kpi.currency, kpi.total.revenue, kpi.total.other_currency) == ("EUR", 30.0, 1)
    assert kpi.total.lists_bought == 3


def test_a_list_counts_its_first_currency(scope: Tenant) -> None:
    shown = give_list("tent", "boot", "lamp")
    follow(shown, "click", "lamp", currency="USD")
    follow(shown, "purchase", "tent", timedelta(hours=1), value=10.0, currency="EUR")
    follow(shown, "purchase", "boot", timedelta(hours=2), value=2_000.0, currency="JPY")
    kpi = today()
    assert (kpi.currency, kpi.total.revenue, kpi.total.bought) == ("EUR", 10.0, 2)


def test_the_period_before_and_other_scenarios_are_kept_apart(scope: Tenant) -> None:
    upsert_items([{"id": "tent"}, {"id": "boot"}])
    give_list("tent", scenario="cart")
    follow(give_list("tent"), "click", "tent")
    kpi = today()
    day = kpi.period.since
    ListCount.objects.create(
        scenario="home", day=day - timedelta(days=1), latency_bucket=9, lists=7, items=7, degraded=0
    )
    for item in ("tent", "boot"):
        ShownItem.objects.create(scenario="home", day=day - timedelta(days=1), item_id=item, lists=7)
    kpi = today()
    assert (kpi.total.lists, kpi.before.lists) == (1, 7)
    assert (kpi.coverage.share, kpi.coverage_before.share) == (0.5, 1.0)
    assert list(kpi.days) == [day]


def test_a_tenant_counts_its_own_lists_alone(tenant: Tenant, other_tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        decision = give_list("tent")
        refresh_kpi(committed_after=NOW)
    with tenant_scope(other_tenant.id):
        follow(decision, "click", "tent")
        assert today().total == Figures()
        assert not ListOutcome.objects.exists()
    with tenant_scope(tenant.id):
        assert today().total.lists_clicked == 0


def test_an_empty_scenario_has_no_rates(scope: Tenant) -> None:
    total = today("nobody asks").total
    assert total.click_rate is total.revenue_per_1000 is total.latency_p50_ms is None
    assert today("nobody asks").coverage.share is None


def test_a_period_has_the_one_of_the_same_length_before() -> None:
    week = Period(date(2026, 3, 2), date(2026, 3, 8))
    assert week.before == Period(date(2026, 2, 23), date(2026, 3, 1))
    assert len(week.days) == len(week.before.days) == 7


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # From scipy.stats.binomtest(successes, trials).proportion_ci(method="wilson").
    [
        (0, 10, 0.0, 0.27753280),
        (5, 10, 0.23659309, 0.76340691),
        (1, 1, 0.20654931, 1.0),
        (30, 1000, 0.02109374, 0.04250341),
    ],
)
def test_the_interval_of_a_share_is_wilsons(successes: int, trials: int, low: float, high: float) -> None:
    found = share(successes, trials)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


@given(st.integers(1, 100_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_an_interval_holds_its_share(counts: tuple[int, int]) -> None:
    found = share(*counts)
    assert found is not None
    assert 0.0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1.0


def test_the_interval_of_revenue_is_near_the_bootstraps() -> None:
    generator = np.random.default_rng(1)
    revenues = np.where(generator.random(4_000) < 0.05, generator.lognormal(3.0, 0.7, 4_000), 0.0)
    found = mean_of(float(revenues.sum()), float((revenues**2).sum()), len(revenues), times=1000)
    low, high = bootstrap(revenues, generator)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(low, rel=0.05), pytest.approx(high, rel=0.05))


def bootstrap(revenues: Any, generator: np.random.Generator) -> Sequence[float]:
    draws = generator.integers(0, len(revenues), (1_000, len(revenues)))
    return 1000 * np.quantile(revenues[draws].mean(axis=1), [0.025, 0.975])
