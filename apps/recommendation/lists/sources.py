"""Where the candidates of each kind of scenario come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import pairwise

from apps.recommendation import engine
from apps.recommendation.lists import purchases
from apps.recommendation.lists.candidates import Ranked, Source
from apps.recommendation.lists.reads import Reads
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.lists.visitors import Visitor
from apps.recommendation.models import Within
from apps.recommendation.scenarios import MODEL, Kind
from apps.recommendation.selectors import PersonalEvent, Shelf, as_newest
from decisions.models import Scenario

# Of a category with at most so many items each is ranked by the model; of a larger one those that it ranks first.
CATEGORY_RANKED = 1_000
# A visit without a session id goes back to the last pause of this length.
PAUSE = timedelta(minutes=30)


@dataclass(frozen=True)
class Situation:
    """What a request finds: the scenario as it stands for it, the subject, and what may be shown.

    `asked` are the items that the request starts from, if it names any.
    """

    scenario: Scenario
    settings: ScenarioSettings
    visitor: Visitor
    asked: Sequence[str]
    shelf: Shelf

    @cached_property
    def events(self) -> Sequence[PersonalEvent]:
        """The subject's last events that count; read only where a list rests on them."""
        return self.visitor.events(self.settings)

    @property
    def seeds(self) -> Sequence[str]:
        return seeds_of(self.asked, self.visitor, self.settings)

    @property
    def model(self) -> str:
        return self.scenario.model or MODEL

    @property
    def now(self) -> datetime:
        return self.visitor.now

    @property
    def reads(self) -> Reads:
        return self.visitor.reads

    def newest_items(self, limit: int) -> Ranked:
        return as_newest(self.reads.newest_items(limit, self.shelf.condition))


def seeds_of(asked: Sequence[str], visitor: Visitor, settings: ScenarioSettings) -> Sequence[str]:
    """The items that a list starts from: those of the request, or the one that the subject touched last."""
    return asked or [event.item_id for event in visitor.events(settings)[-1:]]


def sources_for(situation: Situation) -> list[Source]:
    """The scenario's own source first, then what fills up a short list."""
    popular: Source = partial(situation.reads.popular_items, situation.settings)
    own = OWN_SOURCES[Kind(situation.scenario.kind)](situation)
    if not situation.settings.fill:
        return own or [popular]
    return [*own, popular, situation.newest_items]


def _next_items(situation: Situation) -> list[Source]:
    return _following(situation, situation.events)


def _next_in_session(situation: Situation) -> list[Source]:
    return _following(situation, session_of(situation))


def _category(situation: Situation) -> list[Source]:
    if not situation.events:
        return []
    there = situation.reads.newest_items(CATEGORY_RANKED + 1, situation.shelf.condition)
    return _following(situation, situation.events, there if len(there) <= CATEGORY_RANKED else None)


def _following(
    situation: Situation, events: Sequence[PersonalEvent], candidates: Sequence[str] | None = None
) -> list[Source]:
    # A subject of whom nothing is known gets what is popular, which is no failure of the model.
    if not events:
        return []
    excluded = sorted(situation.shelf.excluded)
    return [
        partial(
            situation.reads.next_items,
            situation.model,
            events,
            exclude=excluded,
            now=situation.now,
            candidates=candidates,
        )
    ]


def session_of(situation: Situation) -> Sequence[PersonalEvent]:
    """The events of the subject's session; where the request names none, those since its last long pause."""
    events, session_key = situation.events, situation.visitor.subject.session_key
    if session_key is not None:
        return [event for event in events if event.session_key == session_key]
    times = [*(event.occurred_at for event in events), situation.now]
    breaks = [number for number, (one, next_) in enumerate(pairwise(times), start=1) if next_ - one > PAUSE]
    return events[breaks[-1] :] if breaks else events


def _similar(situation: Situation) -> list[Source]:
    return [partial(engine.similar_items, situation.model, situation.seeds)]


def _also_bought(situation: Situation) -> list[Source]:
    return [partial(purchases.bought_with, situation.seeds, Within.SUBJECT), *_similar(situation)]


def _bought_together(situation: Situation) -> list[Source]:
    return [partial(purchases.bought_with, situation.seeds, Within.BASKET), *_also_bought(situation)]


def _popular(situation: Situation) -> list[Source]:
    return []


def _trending(situation: Situation) -> list[Source]:
    return [partial(situation.reads.trending_items, situation.settings)]


def _recently_viewed(situation: Situation) -> list[Source]:
    return [partial(purchases.recently_viewed, situation.visitor.keys, situation.settings)]


def _buy_again(situation: Situation) -> list[Source]:
    return [partial(purchases.due_again, situation.visitor.keys, situation.settings, situation.now)]


OWN_SOURCES: dict[Kind, Callable[[Situation], list[Source]]] = {
    Kind.PERSONALISED: _next_items,
    Kind.SIMILAR: _similar,
    Kind.ALSO_BOUGHT: _also_bought,
    Kind.BOUGHT_TOGETHER: _bought_together,
    Kind.NEXT_IN_SESSION: _next_in_session,
    Kind.CATEGORY: _category,
    Kind.POPULAR: _popular,
    Kind.TRENDING: _trending,
    Kind.RECENTLY_VIEWED: _recently_viewed,
    Kind.BUY_AGAIN: _buy_again,
}
