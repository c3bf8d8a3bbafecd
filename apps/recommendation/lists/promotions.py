"""Items that a pin or a promotion wants and that no source gave: fetched from the catalogue."""

from collections.abc import Sequence
from itertools import chain, islice

from apps.recommendation import selectors
from apps.recommendation.lists.candidates import Candidate, Cause, Pooled
from apps.recommendation.lists.sources import Situation
from apps.recommendation.rules.active import ActiveRules
from apps.recommendation.scenarios import Kind

# Of a target that holds more items than these the newest are taken.
MOST_FETCHED = 200
# For each place that a rule wants, so many of them are left to choose from.
CHOSEN_FROM = 4


def wanted_items(situation: Situation, rules: ActiveRules, pool: Sequence[Pooled]) -> list[Pooled]:
    """Permitted items for the rules that find too few in the pool; no query where there are enough.

    They come after every other source, so they stand only where a rule puts them, or where the list would be short.
    A personalised list has them in the model's order for the subject, any other in the order of popularity.
    """
    shelf = situation.shelf
    known = {each.candidate.item_id for each in pool}.union(shelf.excluded)
    missing = rules.lacking([each.facts for each in pool])
    fetched: dict[str, list[str]] = {}
    for key in missing:
        target = (rules.marks or {})[key]
        condition = target if shelf.condition is None else target & shelf.condition
        newest = situation.reads.newest_items(MOST_FETCHED, condition)
        fetched[key] = [each for each in newest if each not in known]
    ordered = _ordered(situation, list(dict.fromkeys(chain.from_iterable(fetched.values()))))
    kept: set[str] = set()
    for key, item_ids in fetched.items():
        own = set(item_ids)
        kept.update(islice((each.item_id for each in ordered if each.item_id in own), CHOSEN_FROM * missing[key]))
    facts = situation.reads.permitted(shelf, list(kept)) if kept else {}
    source = max((each.source for each in pool), default=-1) + 1
    return [Pooled(each, facts[each.item_id], source) for each in ordered if each.item_id in facts]


def _ordered(situation: Situation, item_ids: Sequence[str]) -> list[Candidate]:
    if not item_ids:
        return []
    if situation.scenario.kind == Kind.PERSONALISED and situation.events:
        ranked = situation.reads.next_items(
            situation.model,
            situation.events,
            len(item_ids),
            exclude=(),
            now=situation.now,
            candidates=item_ids,
        )
        if ranked.candidates:
            return [_as_promoted(each) for each in ranked.candidates]
    interest = selectors.interest_in(item_ids, situation.settings)
    best_first = sorted(item_ids, key=lambda item_id: -interest.get(item_id, 0.0))
    return [Candidate(item_id, interest.get(item_id, 0.0), Cause("promoted", 1.0)) for item_id in best_first]


def _as_promoted(candidate: Candidate) -> Candidate:
    """Without an event that spoke for it, an item is there because the shop wants it."""
    if candidate.cause.item_id is not None:
        return candidate
    return Candidate(candidate.item_id, candidate.score, Cause("promoted", 1.0))
