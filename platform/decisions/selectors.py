"""Reads: scenarios, decisions, and what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from behavior.models import Event
from decisions.models import Decision, Scenario

# A decision is stored within moments of the time that its id carries; the rest is room for clocks that disagree.
STORED_WITHIN = timedelta(days=1)
MOST_OUTCOMES = 1_000


@dataclass(frozen=True)
class DecisionWithOutcomes:
    """`outcomes` are the events that name the decision, oldest first."""

    decision: Decision
    outcomes: Sequence[Event]

    def items(self) -> list[dict[str, Any]]:
        """The served items, each with the types of the events that followed on it."""
        followed: dict[str, list[str]] = {}
        for event in self.outcomes:
            if event.item_id is not None:
                followed.setdefault(event.item_id, []).append(event.type)
        return [item | {"outcomes": followed.get(item["id"], [])} for item in self.decision.items]


def find_scenario(key: str) -> Scenario | None:
    """The active scenario of this key."""
    return Scenario.objects.filter(key=key, is_active=True).first()


def scenarios(application: str | None = None) -> QuerySet[Scenario]:
    every = Scenario.objects.all()
    return every.filter(application=application) if application else every


def get_decision(decision_id: UUID) -> Decision:
    """Raises Decision.DoesNotExist, also for an id that can not be a decision's."""
    try:
        # An id of version 7 begins with its time, which spares the search of every other month's partition.
        made = datetime.fromtimestamp((decision_id.int >> 80) / 1000, tz=UTC)
        near = (made - STORED_WITHIN, made + STORED_WITHIN)
    except (OverflowError, ValueError) as error:
        raise Decision.DoesNotExist(f"{decision_id} carries no time") from error
    return Decision.objects.get(decision_id=decision_id, decided_at__range=near)


def outcomes(decision_id: UUID) -> list[Event]:
    """Events that name the decision, oldest first; the first thousand."""
    return list(Event.objects.filter(decision_id=decision_id).order_by("occurred_at")[:MOST_OUTCOMES])


def decision_with_outcomes(decision_id: UUID) -> DecisionWithOutcomes:
    """Raises Decision.DoesNotExist."""
    return DecisionWithOutcomes(get_decision(decision_id), outcomes(decision_id))


def search_decisions(
    *,
    scenario: str | None = None,
    subject_key: bytes | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    degraded: bool | None = None,
) -> QuerySet[Decision]:
    """Decisions that match everything given, newest first."""
    conditions = {
        "scenario": scenario,
        "subject_key": subject_key,
        "decided_at__gte": since,
        "decided_at__lt": until,
        "degraded__isnull": None if degraded is None else not degraded,
    }
    return Decision.objects.filter(**{name: value for name, value in conditions.items() if value is not None})
