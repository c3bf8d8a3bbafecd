"""The order of what a search found: by the re-ranker that clicks have trained, or else by the query's own order and
what the subject is likely to want.

Both are told the same, so that the features of what was served can be kept and a first re-ranker be learned from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from apps.recommendation import engine
from apps.recommendation.lists.candidates import Cause, Ranked
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.rankings.facts import item_facts
from apps.recommendation.rankings.features import Column, RankingCandidate
from apps.recommendation.rankings.scores import FUSED, Scored, score_candidates
from apps.recommendation.scenarios import RANKING_MODEL
from apps.recommendation.selectors import PersonalEvent
from catalog.text_search import FUSION, Match


@dataclass(frozen=True)
class RankedMatch:
    """`score` lies in [0, 1]; `place` counts the search's own order from 0; `cause` is the event that speaks for the
    item, if one does."""

    match: Match
    score: float
    place: int
    cause: Cause | None = None


@dataclass(frozen=True)
class RankedMatches:
    """Best first. `model_version` is None where no model had a say; `features` has a value for each place."""

    matches: list[RankedMatch]
    model_version: UUID | None = None
    degraded: str | None = None
    features: Mapping[str, Column] = field(default_factory=dict)

    def features_of(self, served: Sequence[RankedMatch]) -> dict[str, Column]:
        """The features of these matches, in their order; nothing where there are none."""
        return {name: [column[each.place] for each in served] for name, column in self.features.items() if served}


def rank_matches(
    matches: Sequence[Match],
    events: Sequence[PersonalEvent],
    *,
    query: str,
    model: str,
    settings: ScenarioSettings,
    now: datetime,
) -> RankedMatches:
    """The matches, which come in the search's own order, in the order to serve; `model` is the next-item model.

    Two queries, and one question to each of the two models.
    """
    if not matches:
        return RankedMatches([])
    scored = score_candidates(
        [RankingCandidate(match.item_id, match.score) for match in matches],
        query=query,
        events=events,
        facts=item_facts({*(match.item_id for match in matches), *(event.item_id for event in events)}),
        settings=settings,
        sequence_model=model,
        now=now,
    )
    if scored.opinion.is_trained:
        return _by_re_ranker(matches, scored)
    # The next-item model ranks by popularity for a subject without events.
    wanted = scored.sequence if events or not settings.personalisation else _popular(matches, model, now)
    return _by_taste(matches, wanted, scored, weight=settings.personalisation)


def _by_re_ranker(matches: Sequence[Match], scored: Scored) -> RankedMatches:
    """By falling score of the re-ranker, as a share of the best one's: what rules multiply must not be negative."""
    opinion, causes = scored.opinion, _causes(scored.sequence)
    ranked = [
        RankedMatch(match, opinion.weights[place], place, causes.get(match.item_id))
        for place, match in enumerate(matches)
    ]
    ranked.sort(key=lambda each: -opinion.scores[each.place])
    return RankedMatches(ranked, opinion.model_version, opinion.degraded, scored.features)


def _by_taste(matches: Sequence[Match], wanted: Ranked, scored: Scored, *, weight: float) -> RankedMatches:
    """The matches in the order of (1 - weight) * relevance + weight * interest, both from 0 to 1.

    Relevance is the search's own score as a share of the best one. Interest falls with the rank that the model gives
    the item among the matches, as in reciprocal rank fusion, and is 0 for items that the model does not know.
    """
    best = max(match.score for match in matches)
    # A tenant without a re-ranker misses nothing; one whose re-ranker has not answered does.
    unanswered = FUSED if engine.is_live(RANKING_MODEL) else None
    known = [candidate for candidate in wanted.candidates if candidate.score > 0]
    if not known or not weight:
        ranked = [RankedMatch(match, match.score / best, place) for place, match in enumerate(matches)]
        return RankedMatches(ranked, degraded=unanswered, features=scored.features)
    interest = {candidate.item_id: (FUSION + 1) / (FUSION + rank) for rank, candidate in enumerate(known, start=1)}
    causes = _causes(wanted)
    ranked = [
        RankedMatch(
            match,
            (1 - weight) * match.score / best + weight * interest.get(match.item_id, 0.0),
            place,
            causes.get(match.item_id),
        )
        for place, match in enumerate(matches)
    ]
    ranked.sort(key=lambda each: (-each.score, each.match.item_id))
    return RankedMatches(ranked, wanted.model_version, wanted.degraded or unanswered, scored.features)


def _popular(matches: Sequence[Match], model: str, now: datetime) -> Ranked:
    ids = [match.item_id for match in matches]
    return engine.next_items(model, [], len(ids), exclude=(), now=now, candidates=ids)


def _causes(wanted: Ranked) -> dict[str, Cause]:
    """By item the event that speaks for it, where the model knows the item and one does."""
    return {each.item_id: each.cause for each in wanted.candidates if each.score > 0 and each.cause.item_id}
