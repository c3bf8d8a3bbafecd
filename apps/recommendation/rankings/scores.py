"""Scores of the candidates of one search, with what adds up to them.

Three orders, the first that there is: the trained re-ranker's; the order of whoever found the candidates fused with the
next-item model's; the finder's own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.recommendation import engine
from apps.recommendation.lists.candidates import Ranked
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.rankings.facts import ItemFacts, item_counts
from apps.recommendation.rankings.features import Column, Known, RankingCandidate, ranking_features
from apps.recommendation.scenarios import MODEL, RANKING_MODEL
from apps.recommendation.selectors import PersonalEvent

# Of reciprocal rank fusion (Cormack et al., 2009, SIGIR).
FUSION_K = 60
FUSED = "fused"


@dataclass(frozen=True)
class Opinion:
    """A score for each candidate; `parts` hold by name what adds up to it.

    `weights`, above 0, are what exploration draws by. `degraded` names what stood in for the trained re-ranker or for
    one of its parts; `is_trained` says whether the scores are the re-ranker's, be it by its previous version.
    """

    scores: Sequence[float]
    weights: Sequence[float]
    parts: Mapping[str, Sequence[float]]
    model_version: UUID | None
    degraded: str | None
    is_trained: bool


@dataclass(frozen=True)
class Scored:
    """What is thought and known of each candidate, in the order of the candidates.

    `movable` tells those of which anything is known from those that keep their place; `sequence` is what the next-item
    model says of them, nothing where it was not asked.
    """

    opinion: Opinion
    features: dict[str, Column]
    sequence: Ranked
    movable: list[bool]


def score_candidates(
    candidates: Sequence[RankingCandidate],
    *,
    query: str,
    events: Sequence[PersonalEvent],
    facts: Mapping[str, ItemFacts],
    settings: ScenarioSettings,
    model: str = RANKING_MODEL,
    sequence_model: str = MODEL,
    now: datetime,
) -> Scored:
    """Scores of the candidates of one search, which come in the order of whoever found them.

    `facts` are the catalogue's of the candidates and of the items of the events. One query, and one question to each of
    the two models.
    """
    ids = [each.item_id for each in candidates]
    # Of a subject without events the next-item model could only say what is popular, which is a feature of its own.
    sequence = Ranked([])
    if events and ids:
        sequence = engine.next_items(sequence_model, events, len(ids), exclude=(), now=now, candidates=ids)
    known = Known(
        facts=facts,
        counts=item_counts(ids, settings),
        sequence={each.item_id: each.score for each in sequence.candidates},
        history=[event.item_id for event in events],
    )
    features = ranking_features(query, candidates, known)
    return Scored(
        opinion=(_of_ranker(model, features, sequence) if ids else None) or _fused(ids, known.sequence, sequence),
        features=features,
        sequence=sequence,
        movable=[item_id in facts or item_id in known.counts or known.sequence.get(item_id, 0) > 0 for item_id in ids],
    )


def _of_ranker(model: str, features: Mapping[str, Column], sequence: Ranked) -> Opinion | None:
    """None where no trained re-ranker answers."""
    reranked = engine.rerank(model, features)
    if not reranked.scores:
        return None
    best = max(reranked.scores)
    # A next-item model that was never trained is no failure; one that could not answer is.
    failed = sequence.degraded if sequence.degraded != "no_model" else None
    return Opinion(
        scores=reranked.scores,
        weights=[math.exp(score - best) for score in reranked.scores],
        parts=reranked.parts,
        model_version=reranked.model_version,
        degraded=reranked.degraded or failed,
        is_trained=True,
    )


def _fused(ids: Sequence[str], scores: Mapping[str, float], sequence: Ranked) -> Opinion:
    """Reciprocal ranks by the finder and, where it has heard of any of the items, by the next-item model."""
    parts = {"client_rank": [1.0 / (FUSION_K + rank) for rank in range(1, len(ids) + 1)]}
    heard_of = sorted((item_id for item_id in ids if scores.get(item_id, 0.0) > 0), key=lambda each: -scores[each])
    if heard_of:
        reciprocal = {item_id: 1.0 / (FUSION_K + rank) for rank, item_id in enumerate(heard_of, start=1)}
        parts["sequence"] = [reciprocal.get(item_id, 0.0) for item_id in ids]
    total = [sum(each) for each in zip(*parts.values(), strict=True)]
    order = sorted(range(len(ids)), key=lambda place: -total[place])
    places = {place: rank for rank, place in enumerate(order, start=1)}
    return Opinion(
        scores=total,
        # Fused scores are so close to each other that exploration by them would shuffle the list.
        weights=[1.0 / places[place] for place in range(len(ids))],
        parts=parts,
        model_version=sequence.model_version if heard_of else None,
        degraded=FUSED if heard_of else "client_order",
        is_trained=False,
    )
