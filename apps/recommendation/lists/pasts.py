"""What follows from all that subjects ever did: items that are kept out of their lists, and items that they refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from apps.recommendation.lists.settings import ScenarioSettings
from behavior.models import Consent
from behavior.selectors import EVENTS_OF_PERSON, EVENTS_OF_PERSONS
from catalog.selectors import ItemFacts
from tenancy.scope import current_tenant_id


@dataclass(frozen=True)
class Refusal:
    """An item that the subject hid or disliked and has not taken back; `facts` are empty without a catalogue."""

    item_id: str
    refused_at: datetime
    facts: ItemFacts


@dataclass(frozen=True)
class Past:
    """Of one subject: `kept_out` was bought lately or seen, as the settings ask; `refusals` are the newest first."""

    kept_out: frozenset[str]
    refusals: Sequence[Refusal]

    @property
    def refused(self) -> frozenset[str]:
        return frozenset(refusal.item_id for refusal in self.refusals)


NO_PAST = Past(frozenset(), ())


def _past_of(events: str, subject: str) -> str:
    # Items of refusals are described in the same statement; LIMIT makes that a probe for each instead of a walk through
    # the whole catalogue.
    return f"""
        WITH past AS (
            SELECT {subject} AS subject, item_id,
                bool_or(%(seen)s OR (type = ANY(%(bought)s) AND occurred_at >= %(bought_since)s)) AS kept_out,
                max(occurred_at) FILTER (WHERE type = ANY(%(negative)s)) AS refused_at,
                max(occurred_at) FILTER (WHERE type = ANY(%(undo)s)) AS undone_at
            FROM {events} WHERE item_id IS NOT NULL
                AND consent & %(consent)s <> 0
                AND (%(seen)s OR (type = ANY(%(bought)s) AND occurred_at >= %(bought_since)s)
                    OR type = ANY(%(negative)s) OR type = ANY(%(undo)s))
            GROUP BY 1, item_id
        )
        SELECT past.subject, past.item_id, past.kept_out,
            CASE WHEN past.refused_at > coalesce(past.undone_at, '-infinity') THEN past.refused_at END AS refused_at,
            item.categories, item.brand
        FROM past LEFT JOIN LATERAL (
            SELECT categories, brand FROM catalog_item
            WHERE tenant_id = %(tenant)s AND item_id = past.item_id AND past.refused_at IS NOT NULL LIMIT 1
        ) AS item ON true
        ORDER BY refused_at DESC NULLS LAST, past.item_id"""


PAST = _past_of(EVENTS_OF_PERSON, "NULL::bytea")
PASTS = _past_of(EVENTS_OF_PERSONS, "subject.key")


def past_of(subject_keys: Sequence[bytes], settings: ScenarioSettings, now: datetime) -> Past:
    """The past of one person, named as `Subject.keys` does; one query, or none where the settings ask for nothing."""
    return _past([row for _, *row in _query(PAST, subject_keys, settings, now)])


def pasts_of_many(subject_keys: Sequence[bytes], settings: ScenarioSettings, now: datetime) -> dict[bytes, Past]:
    """The same for many persons, each named by one key; those with nothing to tell are left out."""
    rows: dict[bytes, list[Sequence[Any]]] = {}
    for key, *row in _query(PASTS, subject_keys, settings, now):
        rows.setdefault(bytes(key), []).append(row)
    return {key: _past(own) for key, own in rows.items()}


def _query(sql: str, subject_keys: Sequence[bytes], settings: ScenarioSettings, now: datetime) -> list[tuple]:
    days = settings.exclude_bought_days
    if not (days or settings.exclude_seen or settings.negative_types):
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            sql,
            {
                "tenant": current_tenant_id(),
                "keys": list(subject_keys),
                "consent": Consent.PERSONALISATION,
                "seen": settings.exclude_seen,
                "bought": list(settings.bought_types) if days else [],
                "bought_since": now - timedelta(days=days),
                "negative": list(settings.negative_types),
                "undo": list(settings.undo_types),
            },
        )
        return cursor.fetchall()


def _past(rows: Sequence[Sequence[Any]]) -> Past:
    return Past(
        kept_out=frozenset(item_id for item_id, kept_out, *_ in rows if kept_out),
        refusals=[
            Refusal(item_id, refused_at, ItemFacts(categories or (), brand or ""))
            for item_id, _, refused_at, categories, brand in rows
            if refused_at
        ],
    )
