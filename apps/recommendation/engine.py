"""What the models say: the next items of a subject, and the items that go with given ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from apps.recommendation.lists.candidates import Candidate, Cause, Ranked
from apps.recommendation.selectors import PersonalEvent
from ml.explain import METHODS, Method, parts
from ml.serving.requests import OWED, EventPart, NextItemPrediction, NextItemRequest, RankingRequest
from ml.simulation import World, WorldConfig
from serving import gateway
from serving.replay import replay as replay_version
from serving.selectors import current_line

SHOPS = {"outdoor": WorldConfig.outdoor(), "grocery": WorldConfig.grocery()}
SIMULATION_SEED = 1
# Ways to share the network's part of a score among the events. Lists take the first, which costs nothing; where a
# person asks, the most faithful one may take its fifth of a second.
ATTRIBUTIONS = METHODS
LIST_ATTRIBUTION: Method = "content"
FAITHFUL_ATTRIBUTION: Method = "integrated_gradients"
MEMBERS = parts.MEMBERS
# What matters at least so much as the strongest event is named beside it.
WORTH_NAMING = 0.5


def next_items(
    model: str,
    events: Sequence[PersonalEvent],
    limit: int,
    *,
    exclude: Sequence[str],
    now: datetime,
    candidates: Sequence[str] | None = None,
) -> Ranked:
    """The best `limit` items after the subject's events (oldest first), with the events that spoke most for each.

    With `candidates` only these are ranked; those that the model does not know follow with score 0.
    """
    return _ranked(events, gateway.predict(model, _next_request(events, limit, exclude, candidates, now)))


@dataclass(frozen=True)
class NextItemsAsk:
    """What one of many asks `next_items`."""

    events: Sequence[PersonalEvent]
    limit: int
    exclude: Sequence[str]
    candidates: Sequence[str] | None = None


def next_items_of_many(model: str, asked: Sequence[NextItemsAsk], *, now: datetime) -> list[Ranked]:
    """`next_items` for many subjects in one batch."""
    answers = gateway.predict_many(
        model, [_next_request(each.events, each.limit, each.exclude, each.candidates, now) for each in asked]
    )
    return [_ranked(each.events, answer) for each, answer in zip(asked, answers, strict=True)]


def _next_request(
    events: Sequence[PersonalEvent],
    limit: int,
    exclude: Sequence[str],
    candidates: Sequence[str] | None,
    now: datetime,
) -> NextItemRequest:
    named = None if candidates is None else list(candidates)
    return _request(events, limit, exclude=list(exclude), candidates=named, now=now)


def _ranked(events: Sequence[PersonalEvent], answer: gateway.Answer[NextItemPrediction]) -> Ranked:
    if answer.prediction is None:
        return Ranked([], degraded=answer.degraded)
    prediction = answer.prediction
    ranked = [
        Candidate(item_id, score, _cause(events, score, owed))
        for item_id, score, owed in zip(prediction["items"], prediction["scores"], prediction["owed"], strict=True)
    ]
    return Ranked(ranked, answer.model_version, answer.degraded)


def replay(
    version: UUID,
    events: Sequence[PersonalEvent],
    items: Sequence[str],
    *,
    now: datetime,
    attribution: str,
    by_rules: bool,
) -> NextItemPrediction:
    """What this version says of the items after these events, with the scores taken apart. Raises serving.replay's
    VersionGone and NoReplay."""
    request = _request(events, len(items), exclude=[], candidates=list(items), now=now)
    request["decompose"], request["attribution"] = True, attribution
    return replay_version(version, request, by_rules=by_rules)


def _request(
    events: Sequence[PersonalEvent], count: int, *, exclude: list[str], candidates: list[str] | None, now: datetime
) -> NextItemRequest:
    return NextItemRequest(
        items=[event.item_id for event in events],
        types=[event.type for event in events],
        times=[event.occurred_at.timestamp() for event in events],
        values=[event.value for event in events],
        count=count,
        exclude=exclude,
        candidates=candidates,
        now=now.timestamp(),
    )


def _cause(events: Sequence[PersonalEvent], score: float, owed: Sequence[EventPart]) -> Cause:
    """The events that count, by their share of the score."""
    if not owed:
        return Cause("popular", 1.0)
    first, *others = [
        Cause("because_of", min(1.0, each["part"] / score), event.item_id, event.type, str(event.event_id))
        for each in owed
        if each["part"] >= WORTH_NAMING * owed[0]["part"]
        for event in (events[each["event"]],)
    ]
    return replace(first, also=tuple(others))


def similar_items(model: str, seeds: Sequence[str], limit: int) -> Ranked:
    """Items that follow the seeds in subjects' sequences; those that follow several seeds add up."""
    found = gateway.find_rules(model)
    if found is None:
        return Ranked([], degraded="no_model")
    model_version, rules = found
    shares: dict[str, dict[str, float]] = defaultdict(dict)
    for seed in dict.fromkeys(seeds):
        for item_id, share in zip(*rules.similar(seed, limit), strict=True):
            shares[item_id][seed] = share / len(seeds)
    ranked = sorted(shares, key=lambda item_id: (-sum(shares[item_id].values()), item_id))
    candidates = []
    for item_id in ranked:
        by_seed = shares[item_id]
        strongest, *others = sorted(by_seed, key=lambda seed: (-by_seed[seed], seed))
        also = tuple(
            Cause("similar_to", by_seed[seed], seed)
            for seed in others[: OWED - 1]
            if by_seed[seed] >= WORTH_NAMING * by_seed[strongest]
        )
        cause = Cause("similar_to", by_seed[strongest], strongest, also=also)
        candidates.append(Candidate(item_id, sum(by_seed.values()), cause))
    return Ranked(candidates[:limit], model_version)


@dataclass(frozen=True)
class Reranked:
    """Scores of a list's items, in their order, and what each feature adds to each: parts by feature sum to the scores.

    Both are empty where no model answered.
    """

    scores: list[float]
    parts: Mapping[str, list[float]]
    model_version: UUID | None
    degraded: str | None


def rerank(model: str, features: Mapping[str, Sequence[float | None]]) -> Reranked:
    """Scores of the items of one list by their features; see `ranking_features` for what these are."""
    request = RankingRequest(features={name: list(column) for name, column in features.items()})
    answer = gateway.rank(model, request)
    if answer.prediction is None:
        return Reranked([], {}, None, answer.degraded)
    return Reranked(answer.prediction["scores"], answer.prediction["parts"], answer.model_version, answer.degraded)


def is_live(model: str) -> bool:
    """Whether a version of this line is there to answer."""
    return current_line(model).live is not None


def simulated_shop(theme: str, *, subjects: int) -> World:
    """A synthetic shop for demonstrations; the same theme and size give the same shop."""
    return World(replace(SHOPS[theme], subjects=subjects), seed=SIMULATION_SEED)
