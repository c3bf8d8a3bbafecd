"""What an answer reads. A request reads it when it is needed; a batch reads it for many subjects at once."""

from collections.abc import Collection, Sequence
from datetime import datetime

from django.db.models import Q

from apps.recommendation import engine, selectors
from apps.recommendation.lists.candidates import Ranked
from apps.recommendation.lists.pasts import Past, past_of
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.selectors import PersonalEvent, Shelf
from behavior import selectors as behavior
from behavior.selectors import RecentEvent
from catalog.selectors import ItemFacts, newest_items

# Of the last events some are shown items and searches, which lie between those that a model reads.
EVENTS_READ = 200


class Reads:
    """The reads of one request; each costs a query, or a question to the model, when it is called."""

    def recent_events(self, keys: Sequence[bytes]) -> list[RecentEvent]:
        return behavior.recent_events(keys, EVENTS_READ)

    def past(self, keys: Sequence[bytes], settings: ScenarioSettings, now: datetime) -> Past:
        return past_of(keys, settings, now)

    def next_items(
        self,
        model: str,
        events: Sequence[PersonalEvent],
        limit: int,
        *,
        exclude: Sequence[str],
        now: datetime,
        candidates: Sequence[str] | None = None,
    ) -> Ranked:
        return engine.next_items(model, events, limit, exclude=exclude, now=now, candidates=candidates)

    def popular_items(self, settings: ScenarioSettings, limit: int) -> Ranked:
        return selectors.popular_items(settings, limit)

    def trending_items(self, settings: ScenarioSettings, limit: int) -> Ranked:
        return selectors.trending_items(settings, limit)

    def newest_items(self, limit: int, condition: Q | None) -> list[str]:
        return newest_items(limit, condition=condition)

    def permitted(self, shelf: Shelf, item_ids: Sequence[str]) -> dict[str, ItemFacts]:
        return shelf.permitted(item_ids)

    def titles(self, item_ids: Collection[str]) -> dict[str, str]:
        return selectors.titles(item_ids)


LIVE = Reads()
