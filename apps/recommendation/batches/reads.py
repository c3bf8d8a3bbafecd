"""The reads of many answers, gathered: each list is made by the code that answers requests, without its queries.

An answer is tried with what has been read so far. What it lacks is noted, read for all subjects at once, and the answer
is tried again, so every rule of a list is followed as it is for a request. What few lists need, such as the prices of a
subject's items, is still read for each.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from django.db.models import Q

from apps.recommendation import engine, selectors
from apps.recommendation.engine import NextItemsAsk
from apps.recommendation.lists.candidates import Ranked
from apps.recommendation.lists.pasts import NO_PAST, Past, pasts_of_many
from apps.recommendation.lists.reads import EVENTS_READ, Reads
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.selectors import PersonalEvent, Shelf
from behavior.selectors import RecentEvent, recent_events_of_many
from catalog.selectors import ItemFacts, newest_items

# Candidates of all rankings read at once; each takes some hundred bytes.
MOST_CANDIDATES = 500_000

# Whose ranking, of how many items, and among which.
RankingKey = tuple[bytes, int, tuple[str, ...] | None]


class NotRead(Exception):
    """An answer needs what has not been read yet; `GatheredReads.read` fetches it."""


@dataclass
class Wanted:
    """What the answers tried so far lack. Rankings stand beside the model that is asked."""

    rankings: dict[RankingKey, tuple[str, NextItemsAsk]] = field(default_factory=dict)
    items: set[str] = field(default_factory=set)
    titles: set[str] = field(default_factory=set)
    shelf: Shelf | None = None


class GatheredReads:
    """What is known for a chunk of persons, each named by one key; all of one scenario, filter and moment."""

    def __init__(self, subject_keys: Sequence[bytes], settings: ScenarioSettings, now: datetime) -> None:
        self.now = now
        found = recent_events_of_many(subject_keys, EVENTS_READ)
        self.events: dict[bytes, list[RecentEvent]] = {
            key: events for key, events in found.items() if events[-1].personalisation_consent
        }
        self.pasts = pasts_of_many(list(self.events), settings, now)
        self.rankings: dict[RankingKey, Ranked] = {}
        self.longest: int | None = None
        self.facts: dict[str, ItemFacts | None] = {}
        self.titles: dict[str, str] = {}
        self.wanted = Wanted()
        self.popular = cache(lambda limit: selectors.popular_items(settings, limit))
        self.trending = cache(lambda limit: selectors.trending_items(settings, limit))
        self.newest = cache(lambda limit, condition: newest_items(limit, condition=condition))

    @property
    def agreed(self) -> Collection[bytes]:
        """Those whose newest event carries consent to personalise."""
        return self.events.keys()

    def of(self, subject_key: bytes) -> "SubjectReads":
        return SubjectReads(self, subject_key)

    def read(self) -> None:
        """Fetch what is wanted: one batch through the model, one query for the shelf, one for titles."""
        wanted, self.wanted = self.wanted, Wanted()
        self._rank(wanted)
        self._look_up(wanted)
        if wanted.titles:
            known = selectors.titles(wanted.titles)
            self.titles |= {item_id: known.get(item_id, "") for item_id in wanted.titles}

    def forget(self, subject_key: bytes) -> None:
        """Let go of the rankings of a subject whose answer is made."""
        for at in [at for at in self.rankings if at[0] == subject_key]:
            del self.rankings[at]

    def _rank(self, wanted: Wanted) -> None:
        affordable = self._affordable(wanted)
        for model in {model for model, _ in affordable.values()}:
            asked = {at: ask for at, (named, ask) in affordable.items() if named == model}
            ranked = engine.next_items_of_many(model, list(asked.values()), now=self.now)
            for (at, ask), ranking in zip(asked.items(), ranked, strict=True):
                self.rankings[at] = ranking
                if ask.candidates is None and len(ranking.candidates) < ask.limit:
                    self.longest = max(self.longest or 0, len(ranking.candidates))

    def _affordable(self, wanted: Wanted) -> dict[RankingKey, tuple[str, NextItemsAsk]]:
        """As many of the rankings as fit into memory together, at least one; the others are asked for again.

        A narrow filter has whole catalogues ranked, whose size the first such ranking tells.
        """
        room = MOST_CANDIDATES
        chosen: dict[RankingKey, tuple[str, NextItemsAsk]] = {}
        for at, (model, ask) in wanted.rankings.items():
            longest = self.longest if ask.candidates is None else len(ask.candidates)
            room -= ask.limit if longest is None else min(ask.limit, longest)
            if chosen and room < 0:
                break
            chosen[at] = (model, ask)
        return chosen

    def _look_up(self, wanted: Wanted) -> None:
        unknown = sorted(wanted.items - self.facts.keys())
        if not unknown or wanted.shelf is None:
            return
        found = wanted.shelf.look_up(unknown)
        self.facts |= {item_id: found.get(item_id) for item_id in unknown}


class SubjectReads(Reads):
    """The reads of one subject's answer, from what was gathered. Raises NotRead for the rest."""

    def __init__(self, gathered: GatheredReads, subject_key: bytes) -> None:
        self.gathered = gathered
        self.key = subject_key

    def recent_events(self, keys: Sequence[bytes]) -> list[RecentEvent]:
        return self.gathered.events.get(self.key, [])

    def past(self, keys: Sequence[bytes], settings: ScenarioSettings, now: datetime) -> Past:
        return self.gathered.pasts.get(self.key, NO_PAST)

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
        at = (self.key, limit, None if candidates is None else tuple(candidates))
        if at not in self.gathered.rankings:
            self.gathered.wanted.rankings[at] = (model, NextItemsAsk(events, limit, exclude, candidates))
            raise NotRead
        return self.gathered.rankings[at]

    def popular_items(self, settings: ScenarioSettings, limit: int) -> Ranked:
        return self.gathered.popular(limit)

    def trending_items(self, settings: ScenarioSettings, limit: int) -> Ranked:
        return self.gathered.trending(limit)

    def newest_items(self, limit: int, condition: Q | None) -> list[str]:
        return self.gathered.newest(limit, condition)

    def permitted(self, shelf: Shelf, item_ids: Sequence[str]) -> dict[str, ItemFacts]:
        asked = [item_id for item_id in item_ids if item_id not in shelf.excluded]
        facts = self.gathered.facts
        if unknown := [item_id for item_id in asked if item_id not in facts]:
            self.gathered.wanted.items |= set(unknown)
            self.gathered.wanted.shelf = shelf
            raise NotRead
        return {item_id: found for item_id in asked if (found := facts[item_id]) is not None}

    def titles(self, item_ids: Collection[str]) -> dict[str, str]:
        known = self.gathered.titles
        if unknown := [item_id for item_id in item_ids if item_id not in known]:
            self.gathered.wanted.titles |= set(unknown)
            raise NotRead
        return {item_id: known[item_id] for item_id in item_ids if known[item_id]}
