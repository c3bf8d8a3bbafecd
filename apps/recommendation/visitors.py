"""What the log knows of the subject of a request; each part is read once, and only when it is needed."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from django.db import connection

from apps.recommendation.scenarios import APPLICATION
from apps.recommendation.selectors import PersonalEvent, personal_events
from apps.recommendation.settings import ScenarioSettings
from behavior.models import Consent
from behavior.selectors import EVENTS_OF_PERSON, RecentEvent, recent_events
from behavior.subjects import Subject
from catalog.selectors import ItemFacts
from decisions.selectors import count_shown_items
from tenancy.scope import current_tenant_id

# Of the last events some are shown items and searches, which lie between those that a model reads.
EVENTS_READ = 200


@dataclass(frozen=True)
class Refusal:
    """An item that the subject hid or disliked and has not taken back; `facts` are empty without a catalogue."""

    item_id: str
    refused_at: datetime
    facts: ItemFacts


@dataclass(frozen=True)
class Past:
    """What follows from all that the subject ever did: `kept_out` was bought lately or seen, as the settings ask;
    `refusals` are the newest first."""

    kept_out: frozenset[str]
    refusals: Sequence[Refusal]

    @property
    def refused(self) -> frozenset[str]:
        return frozenset(refusal.item_id for refusal in self.refusals)


# Items of refusals are described in the same statement; LIMIT makes that a probe for each instead of a walk through the
# whole catalogue.
PAST = f"""
    WITH past AS (
        SELECT item_id,
            bool_or(%(seen)s OR (type = ANY(%(bought)s) AND occurred_at >= %(bought_since)s)) AS kept_out,
            max(occurred_at) FILTER (WHERE type = ANY(%(negative)s)) AS refused_at,
            max(occurred_at) FILTER (WHERE type = ANY(%(undo)s)) AS undone_at
        FROM {EVENTS_OF_PERSON} WHERE item_id IS NOT NULL
            AND consent & %(consent)s <> 0
            AND (%(seen)s OR (type = ANY(%(bought)s) AND occurred_at >= %(bought_since)s)
                OR type = ANY(%(negative)s) OR type = ANY(%(undo)s))
        GROUP BY item_id
    )
    SELECT past.item_id, past.kept_out,
        CASE WHEN past.refused_at > coalesce(past.undone_at, '-infinity') THEN past.refused_at END AS refused_at,
        item.categories, item.brand
    FROM past LEFT JOIN LATERAL (
        SELECT categories, brand FROM catalog_item
        WHERE tenant_id = %(tenant)s AND item_id = past.item_id AND past.refused_at IS NOT NULL LIMIT 1
    ) AS item ON true
    ORDER BY refused_at DESC NULLS LAST, past.item_id"""


class Visitor:
    """The subject of one request, or of all slots of one page, at one moment."""

    def __init__(self, subject: Subject, now: datetime) -> None:
        self.subject = subject
        self.now = now
        self._pasts: dict[Hashable, Past] = {}
        self._shown: dict[int, Counter[str]] = {}

    @property
    def keys(self) -> list[bytes]:
        return self.subject.keys

    @cached_property
    def recent(self) -> list[RecentEvent]:
        return recent_events(self.keys, EVENTS_READ)

    def events(self, settings: ScenarioSettings) -> list[PersonalEvent]:
        """The last events that count, oldest first."""
        return personal_events(self.recent, settings, self.past(settings).refused)

    def past(self, settings: ScenarioSettings) -> Past:
        asked = (
            settings.exclude_seen,
            settings.exclude_bought_days,
            *map(tuple, (settings.bought_types, settings.negative_types, settings.undo_types)),
        )
        if asked not in self._pasts:
            self._pasts[asked] = self._read_past(settings)
        return self._pasts[asked]

    def shown(self, settings: ScenarioSettings) -> Counter[str]:
        """How often each item was shown to the subject in the last hours that rotation looks back; none when off."""
        if not settings.rotation_rate:
            return Counter()
        hours = settings.rotation_hours
        if hours not in self._shown:
            since = self.now - timedelta(hours=hours)
            self._shown[hours] = count_shown_items(self.keys, application=APPLICATION, since=since)
        return self._shown[hours]

    def _read_past(self, settings: ScenarioSettings) -> Past:
        days = settings.exclude_bought_days
        if not (days or settings.exclude_seen or settings.negative_types):
            return Past(frozenset(), ())
        with connection.cursor() as cursor:
            cursor.execute(
                PAST,
                {
                    "tenant": current_tenant_id(),
                    "keys": self.keys,
                    "consent": Consent.PERSONALISATION,
                    "seen": settings.exclude_seen,
                    "bought": list(settings.bought_types) if days else [],
                    "bought_since": self.now - timedelta(days=days),
                    "negative": list(settings.negative_types),
                    "undo": list(settings.undo_types),
                },
            )
            rows = cursor.fetchall()
        return Past(
            kept_out=frozenset(item_id for item_id, kept_out, *_ in rows if kept_out),
            refusals=[
                Refusal(item_id, refused_at, ItemFacts(categories or (), brand or ""))
                for item_id, _, refused_at, categories, brand in rows
                if refused_at
            ],
        )
