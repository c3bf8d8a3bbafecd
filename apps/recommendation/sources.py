"""Where the candidates of each kind of scenario come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from apps.recommendation import engine, selectors
from apps.recommendation.candidates import Source
from apps.recommendation.scenarios import MODEL, Kind, ScenarioSettings
from apps.recommendation.selectors import PersonalEvent, Shelf
from decisions.models import Scenario


@dataclass(frozen=True)
class Situation:
    """What a request finds: the scenario as it stands for it, the subject's events, and what may be shown."""

    scenario: Scenario
    settings: ScenarioSettings
    events: Sequence[PersonalEvent]
    seeds: Sequence[str]
    shelf: Shelf
    now: datetime

    @property
    def model(self) -> str:
        return self.scenario.model or MODEL


def sources_for(situation: Situation) -> list[Source]:
    """The scenario's own source first, then what fills up a short list."""
    fallback: list[Source] = [partial(selectors.popular_items, situation.settings), situation.shelf.newest_items]
    return [*OWN_SOURCES[Kind(situation.scenario.kind)](situation), *fallback]


def _next_items(situation: Situation) -> list[Source]:
    # A subject of whom nothing is known gets what is popular, which is no failure of the model.
    if not situation.events:
        return []
    excluded = sorted(situation.shelf.excluded)
    return [partial(engine.next_items, situation.model, situation.events, exclude=excluded, now=situation.now)]


def _similar(situation: Situation) -> list[Source]:
    return [partial(engine.similar_items, situation.model, situation.seeds)]


def _popular(situation: Situation) -> list[Source]:
    return []


def _trending(situation: Situation) -> list[Source]:
    return [partial(selectors.trending_items, situation.settings)]


OWN_SOURCES: dict[Kind, Callable[[Situation], list[Source]]] = {
    Kind.PERSONALISED: _next_items,
    Kind.SIMILAR: _similar,
    Kind.POPULAR: _popular,
    Kind.TRENDING: _trending,
}
