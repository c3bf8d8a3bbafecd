"""Reads of pacing."""

from uuid import UUID

from apps.ads.pacing.models import PacingStep

MOST_STEPS = 1_000


def steps_of(flight_id: UUID) -> list[PacingStep]:
    """The newest steps of a flight, oldest first; about a week of them."""
    return list(PacingStep.objects.filter(flight_id=flight_id).order_by("-stepped_at")[:MOST_STEPS])[::-1]
