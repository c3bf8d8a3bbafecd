"""Reads: scenarios, what the subject did, what others do, and what may be shown."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from apps.recommendation.candidates import Candidate, Cause, Ranked
from apps.recommendation.scenarios import APPLICATION, ScenarioSettings
from behavior.models import Consent
from behavior.selectors import RecentEvent, recent_events
from catalog.filters import parse_filter
from catalog.models import Item
from catalog.selectors import eligible_items, newest_items
from decisions import selectors as decisions
from decisions.models import Scenario
from tenancy.scope import current_tenant_id

# The model reads the last 50 events that count; shown items and searches lie between them.
EVENTS_READ = 200
EVENTS_KEPT = 50
# An edited scenario reaches every process within this time, and a busy process asks the database once in it.
SCENARIO_SECONDS = 1.0
LATEST_EVENTS = 5_000
# A trend compares its period with one so many times as long before it.
TREND_BEFORE = 4

_scenarios: dict[tuple[int, str], tuple[float, Scenario]] = {}


class UnknownScenario(LookupError):
    """No active scenario of this application has the key."""


def scenarios() -> QuerySet[Scenario]:
    return decisions.scenarios(APPLICATION)


def find_scenario(key: str) -> Scenario:
    """The scenario as it was at most a second ago. Raises UnknownScenario that lists the known keys."""
    cached = _scenarios.get((current_tenant_id(), key))
    now = time.monotonic()
    if cached and now - cached[0] < SCENARIO_SECONDS:
        return cached[1]
    scenario = decisions.find_scenario(key)
    if scenario is None or scenario.application != APPLICATION:
        known = ", ".join(scenarios().filter(is_active=True).values_list("key", flat=True)) or "none yet"
        raise UnknownScenario(f"There is no scenario '{key}'; known are: {known}.")
    _scenarios[current_tenant_id(), key] = (now, scenario)
    return scenario


@dataclass(frozen=True)
class PersonalEvent:
    """Something that the subject did with an item, and agreed to be used for personalisation."""

    item_id: str
    type: str
    occurred_at: datetime
    value: float | None
    event_id: UUID


def personal_events(subject_keys: Sequence[bytes], settings: ScenarioSettings) -> list[PersonalEvent]:
    """The subject's last events that count, oldest first."""
    return counted_events(recent_events(subject_keys, EVENTS_READ), settings)


def counted_events(events: Sequence[RecentEvent], settings: ScenarioSettings) -> list[PersonalEvent]:
    """Those of a subject's last events (oldest first) that the model may read and reads."""
    counted = [
        PersonalEvent(event.item_id, event.type, event.occurred_at, event.value, event.event_id)
        for event in events
        if event.item_id and event.personalisation_consent and settings.weight(event.type) > 0
    ]
    return counted[-EVENTS_KEPT:]


def excluded_items(subject_keys: Sequence[bytes], settings: ScenarioSettings, now: datetime) -> set[str]:
    """Items that the subject bought lately, or has seen at all, as the settings ask; one query, or none."""
    return set().union(*excluded_items_by_key(subject_keys, settings, now).values())


def excluded_items_by_key(
    subject_keys: Sequence[bytes], settings: ScenarioSettings, now: datetime
) -> dict[bytes, set[str]]:
    """The same for each of many keys; keys without such items are left out."""
    if not (settings.exclude_seen or settings.exclude_bought_days):
        return {}
    conditions = ""
    values: list[Any] = [current_tenant_id(), list(subject_keys), Consent.PERSONALISATION]
    if not settings.exclude_seen:
        conditions = "AND type = ANY(%s) AND occurred_at >= %s"
        values += [list(settings.bought_types), now - timedelta(days=settings.exclude_bought_days)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT subject_key, array_agg(DISTINCT item_id) FROM behavior_event "
            "WHERE tenant_id = %s AND subject_key = ANY(%s) "
            f"AND item_id IS NOT NULL AND consent & %s <> 0 {conditions} GROUP BY subject_key",
            values,
        )
        return {bytes(key): set(item_ids) for key, item_ids in cursor.fetchall()}


# Interest counts back from the newest hour of the log, so that a history that was imported long ago has its trends too.
INTEREST = """
    WITH newest AS (SELECT max(hour) AS hour FROM behavior_itempopularity WHERE tenant_id = %(tenant)s),
    worth AS (SELECT * FROM unnest(%(types)s::text[], %(weights)s::float8[]) AS given(type, weight)),
    counted AS (
        SELECT item_id, known.hour > newest.hour - %(recent)s::interval AS is_recent,
            count * coalesce(weight, 1) AS interest
        FROM behavior_itempopularity AS known CROSS JOIN newest LEFT JOIN worth USING (type)
        WHERE tenant_id = %(tenant)s AND known.hour > newest.hour - %(span)s::interval
    )"""
POPULAR = """
    SELECT item_id, sum(interest) / sum(sum(interest)) OVER () AS share FROM counted
    GROUP BY item_id HAVING sum(interest) > 0 ORDER BY share DESC, item_id LIMIT %(limit)s"""
# Lift in standard deviations of a Poisson count, so that a jump from 0 to 2 does not beat one from 100 to 200.
TRENDING = """
    SELECT item_id, (recent - expected) / sqrt(expected + 1) AS lift, (recent - expected) / recent AS share
    FROM (
        SELECT item_id, sum(interest) FILTER (WHERE is_recent) AS recent,
            coalesce(sum(interest) FILTER (WHERE NOT is_recent), 0) / %(before)s AS expected
        FROM counted GROUP BY item_id
    ) AS item
    WHERE recent > expected ORDER BY lift DESC, item_id LIMIT %(limit)s"""
LATEST = """
    SELECT item_id, sum(interest) / sum(sum(interest)) OVER () AS share
    FROM (
        SELECT item_id, coalesce(weight, 1) AS interest
        FROM (
            SELECT item_id, type FROM behavior_event WHERE tenant_id = %(tenant)s AND item_id IS NOT NULL
            ORDER BY event_id DESC LIMIT %(latest)s
        ) AS event LEFT JOIN unnest(%(types)s::text[], %(weights)s::float8[]) AS worth(type, weight) USING (type)
    ) AS counted
    GROUP BY item_id HAVING sum(interest) > 0 ORDER BY share DESC, item_id LIMIT %(limit)s"""


def popular_items(settings: ScenarioSettings, limit: int) -> Ranked:
    """Items by their share of weighted interest in the last days of the log.

    From the hourly counts; a log too young to have them is asked for its latest events themselves.
    """
    span = timedelta(days=settings.popular_days)
    rows = _query(INTEREST + POPULAR, settings, limit=limit, recent=span, span=span)
    rows = rows or _query(LATEST, settings, limit=limit, latest=LATEST_EVENTS)
    return Ranked([Candidate(item_id, share, Cause("popular", share)) for item_id, share in rows])


def trending_items(settings: ScenarioSettings, limit: int) -> Ranked:
    """Items by how much their interest has grown; the weight is the share of it that the past does not explain."""
    recent = timedelta(days=settings.trend_days)
    rows = _query(
        INTEREST + TRENDING,
        settings,
        limit=limit,
        recent=recent,
        span=recent * (1 + TREND_BEFORE),
        before=TREND_BEFORE,
    )
    return Ranked([Candidate(item_id, lift, Cause("trending", share)) for item_id, lift, share in rows])


def _query(sql: str, settings: ScenarioSettings, **values: Any) -> list[tuple]:
    weights = settings.event_weights
    values |= {"tenant": current_tenant_id(), "types": list(weights), "weights": [float(w) for w in weights.values()]}
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


@dataclass(frozen=True)
class Shelf:
    """What may be shown to one request, judged by the catalogue as it is now.

    `excluded` stays out, and so does what does not meet every one of `filters`. `require_known` decides about items
    that only the log knows; None lets them in while the catalogue is empty.
    """

    excluded: Collection[str]
    filters: Sequence[dict[str, Any]]
    require_known: bool | None

    @cached_property
    def condition(self) -> Q | None:
        return Q(*(parse_filter(each) for each in self.filters)) if self.filters else None

    def permitted(self, item_ids: Sequence[str]) -> set[str]:
        asked = [item_id for item_id in item_ids if item_id not in self.excluded]
        return (
            set(eligible_items(asked, condition=self.condition, require_known=self.require_known)) if asked else set()
        )

    def newest_items(self, limit: int) -> Ranked:
        """Items that came into the catalogue last; the one source that needs no log."""
        ids = newest_items(limit, condition=self.condition)
        return Ranked([Candidate(item_id, 0.0, Cause("newest", 0.0)) for item_id in ids])


def titles(item_ids: Collection[str]) -> dict[str, str]:
    """Titles of the items that have one."""
    if not item_ids:
        return {}
    known = Item.objects.filter(item_id__in=item_ids).exclude(title="")
    return dict(known.values_list("item_id", "title"))
