"""Reads: scenarios, what the subject did, what others do, and what may be shown."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from statistics import median
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Q, QuerySet

from apps.recommendation.lists.candidates import Candidate, Cause, Ranked
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.rules.active import ActiveRules
from apps.recommendation.scenarios import APPLICATION
from behavior.selectors import RecentEvent
from catalog.filters import FilterError
from catalog.models import Item
from catalog.saved_filters import read_filter
from catalog.selectors import ItemFacts, look_up_items, newest_items
from decisions import selectors as decisions
from decisions.models import Scenario
from tenancy.kept import Kept
from tenancy.scope import current_tenant_id

# The model reads so many of the last events that count.
EVENTS_KEPT = 50
# An edited scenario reaches every process within this time, and a busy process asks the database once in it.
SCENARIO_SECONDS = 1.0
# Popularity is counted by the hour, and counting it takes longer than the rest of a list.
INTEREST_SECONDS = 1.0
LATEST_EVENTS = 5_000
# A trend compares its period with one so many times as long before it.
TREND_BEFORE = 4

_scenarios: Kept[Scenario] = Kept(SCENARIO_SECONDS)
_interest: Kept[list[tuple]] = Kept(INTEREST_SECONDS, most=1_000)


class UnknownScenario(LookupError):
    """No active scenario of this application has the key."""


def scenarios() -> QuerySet[Scenario]:
    return decisions.scenarios(APPLICATION)


def find_scenario(key: str) -> Scenario:
    """The scenario as it was at most a second ago. Raises UnknownScenario that lists the known keys."""
    return _scenarios.get(key, lambda: _read_scenario(key))


def _read_scenario(key: str) -> Scenario:
    scenario = decisions.find_scenario(key)
    if scenario is None or scenario.application != APPLICATION:
        known = ", ".join(scenarios().filter(is_active=True).values_list("key", flat=True)) or "none yet"
        raise UnknownScenario(f"There is no scenario '{key}'; known are: {known}.")
    return scenario


@dataclass(frozen=True)
class PersonalEvent:
    """Something that the subject did with an item, and agreed to be used for personalisation."""

    item_id: str
    type: str
    occurred_at: datetime
    value: float | None
    event_id: UUID
    session_key: bytes | None = None


def personal_events(
    events: Sequence[RecentEvent], settings: ScenarioSettings, refused: Collection[str] = ()
) -> list[PersonalEvent]:
    """Those of a subject's last events (oldest first) that count; none on an item that the subject refused."""
    counted = [
        PersonalEvent(event.item_id, event.type, event.occurred_at, event.value, event.event_id, event.session_key)
        for event in events
        if event.item_id
        and event.personalisation_consent
        and event.item_id not in refused
        and settings.weight(event.type) > 0
    ]
    return counted[-EVENTS_KEPT:]


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
INTEREST_IN = """
    SELECT item_id, sum(interest) FROM counted WHERE item_id = ANY(%(items)s)
    GROUP BY item_id HAVING sum(interest) > 0"""
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
    """Items by their share of weighted interest in the last days of the log, as it was at most a second ago.

    From the hourly counts; a log too young to have them is asked for its latest events themselves.
    """
    asked = ("popular", tuple(settings.weights.items()), settings.popular_days, limit)
    rows = _interest.get(asked, lambda: _most_popular(settings, limit))
    return Ranked([Candidate(item_id, share, Cause("popular", share)) for item_id, share in rows])


def _most_popular(settings: ScenarioSettings, limit: int) -> list[tuple]:
    span = timedelta(days=settings.popular_days)
    rows = _query(INTEREST + POPULAR, settings, limit=limit, recent=span, span=span)
    return rows or _query(LATEST, settings, limit=limit, latest=LATEST_EVENTS)


def interest_in(item_ids: Sequence[str], settings: ScenarioSettings) -> dict[str, float]:
    """Weighted interest in each of the items in the last days of the log; those without any are left out."""
    span = timedelta(days=settings.popular_days)
    rows = _query(INTEREST + INTEREST_IN, settings, items=list(item_ids), recent=span, span=span)
    return {item_id: float(interest) for item_id, interest in rows}


def trending_items(settings: ScenarioSettings, limit: int) -> Ranked:
    """Items by how much their interest has grown; the weight is the share of it that the past does not explain."""
    asked = ("trending", tuple(settings.weights.items()), settings.trend_days, limit)
    rows = _interest.get(asked, lambda: _most_risen(settings, limit))
    return Ranked([Candidate(item_id, lift, Cause("trending", share)) for item_id, lift, share in rows])


def _most_risen(settings: ScenarioSettings, limit: int) -> list[tuple]:
    recent = timedelta(days=settings.trend_days)
    span = recent * (1 + TREND_BEFORE)
    return _query(INTEREST + TRENDING, settings, limit=limit, recent=recent, span=span, before=TREND_BEFORE)


def _query(sql: str, settings: ScenarioSettings, **values: Any) -> list[tuple]:
    weights = settings.weights
    values |= {"tenant": current_tenant_id(), "types": list(weights), "weights": [float(w) for w in weights.values()]}
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


@dataclass(frozen=True)
class Shelf:
    """What may be shown to one request, judged by the catalogue as it is now.

    `excluded` stays out, and so does what does not meet every one of `filters` and what the rules do not let in.
    `require_known` decides about items that only the log knows; None lets them in while the catalogue is empty.
    """

    excluded: Collection[str]
    filters: Sequence[dict[str, Any]]
    require_known: bool | None
    rules: ActiveRules

    @cached_property
    def condition(self) -> Q | None:
        """Raises ValidationError for a saved filter that was removed since the request was checked."""
        try:
            conditions = [*(read_filter(each) for each in self.filters), *self.rules.conditions]
        except FilterError as error:
            raise ValidationError({"filter": str(error)}) from error
        return Q(*conditions) if conditions else None

    def permitted(self, item_ids: Sequence[str]) -> dict[str, ItemFacts]:
        return self.look_up([item_id for item_id in item_ids if item_id not in self.excluded])

    def look_up(self, item_ids: Sequence[str]) -> dict[str, ItemFacts]:
        """Those that may be shown, whatever is excluded; one query, or none without items."""
        if not item_ids:
            return {}
        condition, marks = self.condition, self.rules.marks
        return look_up_items(item_ids, condition=condition, require_known=self.require_known, marks=marks)

    def newest_items(self, limit: int) -> Ranked:
        return as_newest(newest_items(limit, condition=self.condition))


def as_newest(item_ids: Sequence[str]) -> Ranked:
    """Items that came into the catalogue last; the one source that needs no log."""
    return Ranked([Candidate(item_id, 0.0, Cause("newest", 0.0)) for item_id in item_ids])


def median_price(item_ids: Collection[str]) -> float | None:
    """Of those of the items that have a price."""
    prices = Item.objects.filter(item_id__one_of=item_ids).values_list("price", flat=True) if item_ids else []
    known = [float(price) for price in prices if price is not None]
    return median(known) if known else None


def titles(item_ids: Collection[str]) -> dict[str, str]:
    """Titles of the items that have one."""
    if not item_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT item_id, title FROM catalog_item WHERE tenant_id = %s AND item_id = ANY(%s) AND title <> ''",
            [current_tenant_id(), list(item_ids)],
        )
        return dict(cursor.fetchall())
