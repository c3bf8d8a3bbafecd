"""The order of what a search found: by the query, and by what the subject is likely to want."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.recommendation import engine
from apps.recommendation.lists.candidates import Cause
from apps.recommendation.selectors import PersonalEvent
from catalog.text_search import FUSION, Match


@dataclass(frozen=True)
class RankedMatch:
    """`score` lies in [0, 1]; `cause` is the event that speaks for the item, if one does."""

    match: Match
    score: float
    cause: Cause | None = None


@dataclass(frozen=True)
class RankedMatches:
    """Best first. `model_version` is None where no model had a say."""

    matches: list[RankedMatch]
    model_version: UUID | None = None
    degraded: str | None = None


def personalise(
    matches: Sequence[Match], events: Sequence[PersonalEvent], *, model: str, weight: float, now: datetime
) -> RankedMatches:
    """The matches in the order of (1 - weight) * relevance + weight * interest, both from 0 to 1.

    Relevance is the search's own score as a share of the best one. Interest falls with the rank that the model gives
    the item among the matches, as in reciprocal rank fusion, and is 0 for items that the model does not know. The model
    ranks by popularity for a subject without events. Scores of another ranker would come in here.
    """
    best = max((match.score for match in matches), default=0.0)
    if not matches or not weight:
        return RankedMatches([RankedMatch(match, match.score / best) for match in matches])
    wanted = engine.next_items(
        model, events, len(matches), exclude=(), now=now, candidates=[match.item_id for match in matches]
    )
    known = [candidate for candidate in wanted.candidates if candidate.score > 0]
    if not known:
        return RankedMatches([RankedMatch(match, match.score / best) for match in matches])
    interest = {
        candidate.item_id: ((FUSION + 1) / (FUSION + rank), candidate.cause)
        for rank, candidate in enumerate(known, start=1)
    }
    ranked = []
    for match in matches:
        share, cause = interest.get(match.item_id, (0.0, None))
        score = (1 - weight) * match.score / best + weight * share
        ranked.append(RankedMatch(match, score, cause if cause and cause.item_id else None))
    ranked.sort(key=lambda each: (-each.score, each.match.item_id))
    return RankedMatches(ranked, wanted.model_version, wanted.degraded)
