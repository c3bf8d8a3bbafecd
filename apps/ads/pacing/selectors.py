"""Reads of pacing."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from apps.ads.budgets.models import FlightBudget
from apps.ads.campaigns.models import Flight
from apps.ads.pacing.models import PacingStep
from apps.ads.pacing.schedule import Schedule

MOST_STEPS = 1_000


def steps_of(flight_id: UUID) -> list[PacingStep]:
    """The newest steps of a flight, oldest first; about a week of them."""
    return list(PacingStep.objects.filter(flight_id=flight_id).order_by("-stepped_at")[:MOST_STEPS])[::-1]


def spending_of(flight: Flight, now: datetime | None = None) -> dict[str, Any]:
    """What the flight has spent beside an even spending over its hours, in micro-units; what is behind that is made
    good in the time that is left."""
    budget = FlightBudget.objects.get(flight_id=flight.id)
    schedule = Schedule.of(flight.starts_at, flight.ends_at, flight.targeting)
    planned = schedule.planned(budget.budget_micros, budget.daily_budget_micros, now or timezone.now())
    return {
        "planned_micros": planned,
        "spent_micros": budget.spent_micros,
        "make_good_micros": max(planned - budget.spent_micros, 0),
    }
