"""Steps of the controllers: each live flight's spending beside its plan, and what follows for its next auctions."""

import json
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from apps.ads.campaigns.models import PacingKind
from apps.ads.campaigns.services import announce_change
from apps.ads.engine import PidState, adaptive_step, bid_factor, pid_step, step_size
from apps.ads.pacing.goals import Progress, progress_of
from apps.ads.pacing.models import FlightPacing, PacingStep
from apps.ads.pacing.schedule import Schedule
from apps.ads.settings import current_settings
from tenancy.scope import current_tenant_id

# Steps that are kept for the charts, and for how long.
KEPT_EVERY = timedelta(minutes=10)
KEPT_DAYS = timedelta(days=60)
SHORTEST_STEP = timedelta(seconds=5)
USUAL_STEP = timedelta(seconds=30)

FLIGHTS = """
    SELECT flight.starts_at, flight.ends_at, flight.targeting, flight.id, flight.pacing, budget.budget_micros,
        budget.daily_budget_micros, budget.spent_micros,
        CASE WHEN budget.day = %(day)s THEN budget.day_spent_micros ELSE 0 END, flight.bid_kind, flight.bid_micros
    FROM ads_flight AS flight
        JOIN ads_flightbudget AS budget ON budget.tenant_id = %(tenant)s AND budget.flight_id = flight.id
    WHERE flight.tenant_id = %(tenant)s AND flight.status = 'live'
        AND flight.starts_at <= %(now)s AND flight.ends_at > %(now)s
    ORDER BY flight.id"""

# How long after its end a token's last use may take to be committed.
SETTLED_AFTER = timedelta(hours=1)
# Adds up what has come since, as far as no delivery is left that may still be seen or clicked. The sums start from the
# row as it was read, so that two who add up at once write the same. All is counted (the array waits for it) before the
# first row is locked, and rows are locked in the order of the controllers' steps, which write them too.
ADD_UP = """
    WITH found AS MATERIALIZED (
        SELECT flight.id, ends.counted_to, known.impressions + counted.impressions AS impressions,
            known.clicks + counted.clicks AS clicks
        FROM ads_flight AS flight
            JOIN ads_flightpacing AS known ON known.tenant_id = %(tenant)s AND known.flight_id = flight.id
            CROSS JOIN LATERAL (
                SELECT greatest(known.counted_to, least(min(placed_at), %(settled)s)) AS counted_to
                FROM ads_delivery AS delivery
                WHERE delivery.tenant_id = %(tenant)s AND delivery.flight_id = flight.id
                    AND placed_at >= coalesce(known.counted_to, '-infinity') AND expires_at > %(settled)s
                    AND (impression_at IS NULL OR clicked_at IS NULL)
            ) AS ends
            CROSS JOIN LATERAL (
                SELECT count(impression_at) AS impressions, count(clicked_at) AS clicks
                FROM ads_delivery AS delivery
                WHERE delivery.tenant_id = %(tenant)s AND delivery.flight_id = flight.id
                    AND placed_at >= coalesce(known.counted_to, '-infinity') AND placed_at < ends.counted_to
            ) AS counted
        WHERE flight.tenant_id = %(tenant)s AND flight.status = 'live' AND flight.ends_at > %(settled)s
            AND flight.goal_kind IN ('impressions', 'clicks')
    ), locked AS MATERIALIZED (
        SELECT flight_id FROM ads_flightpacing
        WHERE tenant_id = %(tenant)s AND flight_id = ANY(ARRAY(SELECT id FROM found))
        ORDER BY flight_id FOR UPDATE
    )
    UPDATE ads_flightpacing AS pacing
    SET counted_to = found.counted_to, impressions = found.impressions, clicks = found.clicks
    FROM found JOIN locked ON locked.flight_id = found.id
    WHERE pacing.tenant_id = %(tenant)s AND pacing.flight_id = locked.flight_id"""


@dataclass(frozen=True)
class Plan:
    """Where a flight stands at one moment; amounts in micro-units."""

    schedule: Schedule
    flight_id: UUID
    pacing: str
    budget: int
    daily_budget: int | None
    spent: int
    spent_today: int
    bid_kind: str
    bid: int

    def rate_for_goal(self, progress: Progress) -> float:
        """What is to be spent a second so that the goal is reached at the end and not before; an event is taken to cost
        what it has cost so far, and the bid before there was one."""
        one = (
            self.spent / progress.achieved if progress.achieved else self.bid / (1000 if self.bid_kind == "cpm" else 1)
        )
        return progress.left * one / self.seconds_left(progress.now)

    def rate(self, now: datetime, end_of_day: datetime) -> float:
        """What is to be spent a second from now on: what is left over the time that is left, of the day and in all.

        What an outage kept from being spent is part of what is left, and so is made good.
        """
        left = (self.budget - self.spent) / self.seconds_left(now)
        if self.daily_budget is None:
            return left
        return min(left, (self.daily_budget - self.spent_today) / self.seconds_left(now, end_of_day))

    def seconds_left(self, now: datetime, until: datetime | None = None) -> float:
        """In which the flight may still be shown; one at least."""
        return max(self.schedule.seconds(now, until or self.schedule.ends_at), 1.0)

    def planned(self, now: datetime) -> int:
        return self.schedule.planned(self.budget, self.daily_budget, now)


def pace_flights(now: datetime | None = None) -> int:
    """One step of every live flight that has a controller; how many there were. Deciding processes follow within two
    seconds."""
    now = now or timezone.now()
    local = now.astimezone(current_settings().zone)
    midnight = datetime.combine(local.date() + timedelta(days=1), time(), tzinfo=local.tzinfo)
    plans = _read_plans(now, local.date())
    goals = progress_of([plan.flight_id for plan in plans], now)
    known = {each.flight_id: each for each in FlightPacing.objects.filter(flight_id__in=[p.flight_id for p in plans])}
    changed, steps = [], []
    for plan in plans:
        state = known.get(plan.flight_id)
        if state is None:
            state = FlightPacing(flight_id=plan.flight_id, spent_micros=plan.spent, stepped_at=now)
        elif now - state.stepped_at >= SHORTEST_STEP:
            _step(state, plan, goals.get(plan.flight_id), now, midnight)
        changed.append(state)
        steps.append(_kept(plan, state, now))
    FlightPacing.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["tenant", "flight_id"],
        update_fields=["bid_factor", "pass_rate", "dual", "integral", "error", "spent_micros", "stepped_at"],
    )
    PacingStep.objects.bulk_create(steps, ignore_conflicts=True)
    if changed:
        announce_change()
    return len(changed)


def add_up_goals(now: datetime | None = None) -> None:
    """Keep how often older ads of live flights with a goal were seen and clicked, so that steps count new ones only."""
    settled = (now or timezone.now()) - SETTLED_AFTER
    with connection.cursor() as cursor:
        cursor.execute(ADD_UP, {"tenant": current_tenant_id(), "settled": settled})


def expire_steps(now: datetime | None = None) -> int:
    deleted, _ = PacingStep.objects.filter(stepped_at__lt=(now or timezone.now()) - KEPT_DAYS).delete()
    return deleted


def _read_plans(now: datetime, day: Any) -> list[Plan]:
    with connection.cursor() as cursor:
        cursor.execute(FLIGHTS, {"tenant": current_tenant_id(), "now": now, "day": day})
        return [
            Plan(Schedule.of(starts_at, ends_at, json.loads(targeting)), *row)
            for starts_at, ends_at, targeting, *row in cursor.fetchall()
        ]


def _step(state: FlightPacing, plan: Plan, goal: Progress | None, now: datetime, midnight: datetime) -> None:
    rate = plan.rate(now, midnight)
    if goal is not None:
        rate = min(rate, plan.rate_for_goal(goal))
    seconds = plan.schedule.seconds(state.stepped_at, now)
    if not seconds:
        # Outside of its hours a flight is neither behind nor ahead.
        state.stepped_at = now
        return
    target = max(rate * seconds, 1.0)
    spent = float(max(plan.spent - state.spent_micros, 0))
    if plan.pacing == PacingKind.ADAPTIVE:
        steps = int((now - plan.schedule.starts_at) / USUAL_STEP)
        state.dual = adaptive_step(state.dual, target=target, spent=spent, step=step_size(steps))
        state.bid_factor, state.pass_rate = bid_factor(state.dual), 1.0
    elif plan.pacing == PacingKind.PID:
        memory, state.pass_rate = pid_step(PidState(state.integral, state.error), target=target, spent=spent)
        state.integral, state.error, state.bid_factor = memory.integral, memory.error, 1.0
    else:
        state.bid_factor = state.pass_rate = 1.0
    state.spent_micros, state.stepped_at = plan.spent, now


def _kept(plan: Plan, state: FlightPacing, now: datetime) -> PacingStep:
    """The step under the beginning of its ten minutes, of which the first is kept."""
    seconds = int(KEPT_EVERY.total_seconds())
    moment = datetime.fromtimestamp(now.timestamp() // seconds * seconds, tz=now.tzinfo)
    planned = plan.planned(now)
    return PacingStep(
        flight_id=plan.flight_id,
        stepped_at=moment,
        planned_micros=planned,
        spent_micros=plan.spent,
        make_good_micros=max(planned - plan.spent, 0),
        bid_factor=state.bid_factor,
        pass_rate=state.pass_rate,
    )
