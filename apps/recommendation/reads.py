"""What an answer reads. A request reads it when it is needed; a batch reads it for many subjects at once."""

from collections.abc import Collection, Sequence
from datetime import datetime

from apps.recommendation import engine, selectors
from apps.recommendation.candidates import Ranked
from apps.recommendation.scenarios import ScenarioSettings
from apps.recommendation.selectors import PersonalEvent, Shelf


class Reads:
    """The reads of one request; each costs a query, or a question to the model, when it is called."""

    def personal_events(self, subject_keys: Sequence[bytes], settings: ScenarioSettings) -> list[PersonalEvent]:
        return selectors.personal_events(subject_keys, settings)

    def excluded_items(self, subject_keys: Sequence[bytes], settings: ScenarioSettings, now: datetime) -> set[str]:
        return selectors.excluded_items(subject_keys, settings, now)

    def next_items(
        self, model: str, events: Sequence[PersonalEvent], limit: int, *, exclude: Sequence[str], now: datetime
    ) -> Ranked:
        return engine.next_items(model, events, limit, exclude=exclude, now=now)

    def popular_items(self, settings: ScenarioSettings, limit: int) -> Ranked:
        return selectors.popular_items(settings, limit)

    def trending_items(self, settings: ScenarioSettings, limit: int) -> Ranked:
        return selectors.trending_items(settings, limit)

    def newest_items(self, shelf: Shelf, limit: int) -> Ranked:
        return shelf.newest_items(limit)

    def permitted(self, shelf: Shelf, item_ids: Sequence[str]) -> set[str]:
        return shelf.permitted(item_ids)

    def titles(self, item_ids: Collection[str]) -> dict[str, str]:
        return selectors.titles(item_ids)


LIVE = Reads()
