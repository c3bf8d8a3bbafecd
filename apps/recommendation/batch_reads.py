"""The reads of many answers, gathered: each list is made by the code that answers requests, without its queries.

An answer is tried with what has been read so far. What it lacks is noted, read for all subjects at once, and the answer
is tried again, so every rule of a list is followed as it is for a request.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from apps.recommendation import engine, selectors
from apps.recommendation.candidates import Ranked
from apps.recommendation.reads import Reads
from apps.recommendation.scenarios import ScenarioSettings
from apps.recommendation.selectors import EVENTS_READ, PersonalEvent, Shelf
from behavior.selectors import histories
from catalog.selectors import eligible_items

# Candidates of all rankings read at once; each takes some hundred bytes.
MOST_CANDIDATES = 500_000


class NotRead(Exception):
    """An answer needs what has not been read yet; `GatheredReads.read` fetches it."""


@dataclass
class Wanted:
    """What the answers tried so far lack."""

    rankings: dict[tuple[bytes, int], tuple[str, Sequence[str]]] = field(default_factory=dict)
    items: set[str] = field(default_factory=set)
    titles: set[str] = field(default_factory=set)
    shelf: Shelf | None = None

    def __bool__(self) -> bool:
        return bool(self.rankings or self.items or self.titles)


class GatheredReads:
    """What is known for a chunk of subjects, all of one scenario, filter and moment."""

    def __init__(self, subject_keys: Sequence[bytes], settings: ScenarioSettings, now: datetime) -> None:
        self.now = now
        self.agreed: set[bytes] = set()
        self.events: dict[bytes, list[PersonalEvent]] = {}
        for key, history in histories(subject_keys, EVENTS_READ).items():
            if history.agreed:
                self.agreed.add(key)
                self.events[key] = selectors.counted_events(history.events, settings)
        self.excluded = selectors.excluded_items_by_key(list(self.agreed), settings, now)
        self.rankings: dict[tuple[bytes, int], Ranked] = {}
        self.longest: int | None = None
        self.verdicts: dict[str, bool] = {}
        self.titles: dict[str, str] = {}
        self.wanted = Wanted(titles={event.item_id for events in self.events.values() for event in events})
        self.popular = cache(lambda limit: selectors.popular_items(settings, limit))
        self.trending = cache(lambda limit: selectors.trending_items(settings, limit))
        self.newest: dict[int, Ranked] = {}

    def of(self, subject_key: bytes) -> "SubjectReads":
        return SubjectReads(self, subject_key)

    def read(self) -> None:
        """Fetch what is wanted: one batch through the model, one query for the shelf, one for titles."""
        wanted, self.wanted = self.wanted, Wanted()
        self._rank(wanted)
        self._judge(wanted)
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
            asked = [(at, exclude) for at, (named, exclude) in affordable.items() if named == model]
            ranked = engine.next_items_of_many(
                model, [(self.events[key], limit, exclude) for (key, limit), exclude in asked], now=self.now
            )
            for ((key, limit), _), ranking in zip(asked, ranked, strict=True):
                self.rankings[key, limit] = ranking
                if len(ranking.candidates) < limit:
                    self.longest = max(self.longest or 0, len(ranking.candidates))

    def _affordable(self, wanted: Wanted) -> dict[tuple[bytes, int], tuple[str, Sequence[str]]]:
        """As many of the rankings as fit into memory together, at least one; the others are asked for again.

        A narrow filter has whole catalogues ranked, whose size the first such ranking tells.
        """
        room = MOST_CANDIDATES
        chosen = {}
        for (key, limit), asked in wanted.rankings.items():
            room -= limit if self.longest is None else min(limit, self.longest)
            if chosen and room < 0:
                break
            chosen[key, limit] = asked
        return chosen

    def _judge(self, wanted: Wanted) -> None:
        unknown = sorted(wanted.items - self.verdicts.keys())
        if not unknown or wanted.shelf is None:
            return
        shelf = wanted.shelf
        allowed = set(eligible_items(unknown, condition=shelf.condition, require_known=shelf.require_known))
        self.verdicts |= {item_id: item_id in allowed for item_id in unknown}


class SubjectReads(Reads):
    """The reads of one subject's answer, from what was gathered. Raises NotRead for the rest."""

    def __init__(self, gathered: GatheredReads, subject_key: bytes) -> None:
        self.gathered = gathered
        self.key = subject_key

    def personal_events(self, subject_keys: Sequence[bytes], settings: ScenarioSettings) -> list[PersonalEvent]:
        return self.gathered.events.get(self.key, [])

    def excluded_items(self, subject_keys: Sequence[bytes], settings: ScenarioSettings, now: datetime) -> set[str]:
        return self.gathered.excluded.get(self.key, set())

    def next_items(
        self, model: str, events: Sequence[PersonalEvent], limit: int, *, exclude: Sequence[str], now: datetime
    ) -> Ranked:
        at = (self.key, limit)
        if at not in self.gathered.rankings:
            self.gathered.wanted.rankings[at] = (model, exclude)
            raise NotRead
        return self.gathered.rankings[at]

    def popular_items(self, settings: ScenarioSettings, limit: int) -> Ranked:
        return self.gathered.popular(limit)

    def trending_items(self, settings: ScenarioSettings, limit: int) -> Ranked:
        return self.gathered.trending(limit)

    def newest_items(self, shelf: Shelf, limit: int) -> Ranked:
        if limit not in self.gathered.newest:
            self.gathered.newest[limit] = shelf.newest_items(limit)
        return self.gathered.newest[limit]

    def permitted(self, shelf: Shelf, item_ids: Sequence[str]) -> set[str]:
        asked = [item_id for item_id in item_ids if item_id not in shelf.excluded]
        verdicts = self.gathered.verdicts
        if unknown := [item_id for item_id in asked if item_id not in verdicts]:
            self.gathered.wanted.items |= set(unknown)
            self.gathered.wanted.shelf = shelf
            raise NotRead
        return {item_id for item_id in asked if verdicts[item_id]}

    def titles(self, item_ids: Collection[str]) -> dict[str, str]:
        known = self.gathered.titles
        if unknown := [item_id for item_id in item_ids if item_id not in known]:
            self.gathered.wanted.titles |= set(unknown)
            raise NotRead
        return {item_id: known[item_id] for item_id in item_ids if known[item_id]}
