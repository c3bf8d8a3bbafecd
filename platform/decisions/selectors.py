"""Reads: scenarios, decisions, and what came of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from behavior.models import Consent, Event
from decisions.counting import SHOWING
from decisions.models import Decision, Scenario
from tenancy.scope import current_tenant_id

# A decision is stored within moments of the time that its id carries; the rest is room for clocks that disagree.
STORED_WITHIN = timedelta(days=1)
MOST_OUTCOMES = 1_000
# Newest lists, and impressions, that are looked at for what a subject was shown.
MOST_LISTS = 50
MOST_IMPRESSIONS = 1_000
# An impression that names its decision was counted with the list. A list of a batch was shown if an event names it.
SHOWN = """
    SELECT item_id, count(*) FROM (
        SELECT item->>'id' AS item_id FROM (
            SELECT items FROM decisions_decision
            WHERE tenant_id = %(tenant)s AND subject_key = ANY(%(keys)s) AND application = %(application)s
                AND decided_at >= %(since)s AND NOT request ? 'batch'
            ORDER BY decided_at DESC LIMIT %(lists)s
        ) AS decision CROSS JOIN jsonb_array_elements(items) AS item
        UNION ALL
        SELECT item->>'id' FROM (
            SELECT DISTINCT decision_id FROM behavior_event
            WHERE tenant_id = %(tenant)s AND subject_key = ANY(%(keys)s) AND occurred_at >= %(since)s
                AND type = ANY(%(showing)s) AND decision_id IS NOT NULL AND consent & %(consent)s <> 0
            LIMIT %(lists)s
        ) AS named JOIN decisions_decision AS opened USING (decision_id) CROSS JOIN jsonb_array_elements(items) AS item
        WHERE opened.tenant_id = %(tenant)s AND subject_key = ANY(%(keys)s) AND application = %(application)s
            AND request ? 'batch'
        UNION ALL
        SELECT item_id FROM (
            SELECT item_id FROM behavior_event
            WHERE tenant_id = %(tenant)s AND subject_key = ANY(%(keys)s) AND occurred_at >= %(since)s
                AND type = 'impression' AND decision_id IS NULL AND item_id IS NOT NULL AND consent & %(consent)s <> 0
            ORDER BY occurred_at DESC LIMIT %(impressions)s
        ) AS impression
    ) AS shown GROUP BY item_id"""


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
    return Decision.objects.get(decision_id=decision_id, decided_at__range=_stored_near([decision_id]))


def find_decisions(decision_ids: Sequence[UUID]) -> dict[UUID, Decision]:
    """Those that there are; one query. Raises Decision.DoesNotExist where an id can not be a decision's."""
    if not decision_ids:
        return {}
    rows = Decision.objects.filter(decision_id__in=decision_ids, decided_at__range=_stored_near(decision_ids))
    return {decision.decision_id: decision for decision in rows}


def get_decisions(decision_ids: Sequence[UUID]) -> list[Decision]:
    """In the order of the ids; one query. Raises Decision.DoesNotExist where one is missing or can not be one."""
    found = find_decisions(decision_ids)
    if missing := [each for each in decision_ids if each not in found]:
        raise Decision.DoesNotExist(f"no decision {missing[0]}")
    return [found[decision_id] for decision_id in decision_ids]


def _stored_near(decision_ids: Sequence[UUID]) -> tuple[datetime, datetime]:
    """An id of version 7 begins with its time, which spares the search of every other month's partition."""
    try:
        times = [datetime.fromtimestamp((each.int >> 80) / 1000, tz=UTC) for each in decision_ids]
        return min(times) - STORED_WITHIN, max(times) + STORED_WITHIN
    except (OverflowError, ValueError) as error:
        raise Decision.DoesNotExist("an id carries no time") from error


def count_shown_items(subject_keys: Sequence[bytes], *, application: str, since: datetime) -> Counter[str]:
    """How often each item was shown to a subject since a time, in one query.

    Read are its newest fifty lists, up to fifty lists of batches that its events name, and its newest thousand
    impressions that name no list.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            SHOWN,
            {
                "tenant": current_tenant_id(),
                "keys": list(subject_keys),
                "application": application,
                "since": since,
                "lists": MOST_LISTS,
                "showing": list(SHOWING),
                "consent": Consent.PERSONALISATION,
                "impressions": MOST_IMPRESSIONS,
            },
        )
        return Counter(dict(cursor.fetchall()))


def outcomes(decision_id: UUID) -> list[Event]:
    """Events that name the decision, oldest first; the first thousand."""
    return list(Event.objects.filter(decision_id=decision_id).order_by("occurred_at")[:MOST_OUTCOMES])


def decision_with_outcomes(decision_id: UUID) -> DecisionWithOutcomes:
    """Raises Decision.DoesNotExist."""
    return DecisionWithOutcomes(get_decision(decision_id), outcomes(decision_id))
