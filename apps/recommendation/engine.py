"""What the models say: the next items of a subject, and the items that go with given ones."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from apps.recommendation.candidates import Candidate, Cause, Ranked
from apps.recommendation.selectors import PersonalEvent
from ml.serving.requests import NextItemRequest
from ml.simulation import World, WorldConfig
from serving import gateway

SHOPS = {"outdoor": WorldConfig.outdoor(), "grocery": WorldConfig.grocery()}
SIMULATION_SEED = 1


def next_items(
    model: str, events: Sequence[PersonalEvent], limit: int, *, exclude: Sequence[str], now: datetime
) -> Ranked:
    """The best `limit` items after the subject's events (oldest first), with the event that spoke most for each."""
    return _ranked(events, gateway.predict(model, _request(events, limit, exclude, now)))


def next_items_of_many(
    model: str, asked: Sequence[tuple[Sequence[PersonalEvent], int, Sequence[str]]], *, now: datetime
) -> list[Ranked]:
    """`next_items` for many subjects in one batch; each asks with its events, its limit and what it excludes."""
    answers = gateway.predict_many(model, [_request(events, limit, exclude, now) for events, limit, exclude in asked])
    return [_ranked(events, answer) for (events, _, _), answer in zip(asked, answers, strict=True)]


def _request(events: Sequence[PersonalEvent], limit: int, exclude: Sequence[str], now: datetime) -> NextItemRequest:
    return NextItemRequest(
        items=[event.item_id for event in events],
        types=[event.type for event in events],
        times=[event.occurred_at.timestamp() for event in events],
        values=[event.value for event in events],
        count=limit,
        exclude=list(exclude),
        candidates=None,
        now=now.timestamp(),
    )


def _ranked(events: Sequence[PersonalEvent], answer: gateway.Answer) -> Ranked:
    if answer.prediction is None:
        return Ranked([], degraded=answer.degraded)
    prediction = answer.prediction
    candidates = [
        Candidate(item_id, score, _cause(events, because, share))
        for item_id, score, because, share in zip(
            prediction["items"], prediction["scores"], prediction["because"], prediction["shares"], strict=True
        )
    ]
    return Ranked(candidates, answer.model_version, answer.degraded)


def _cause(events: Sequence[PersonalEvent], because: int | None, share: float) -> Cause:
    if because is None:
        return Cause("popular", 1.0)
    event = events[because]
    return Cause("because_of", share, event.item_id, event.type, str(event.event_id))


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
        strongest = max(shares[item_id], key=shares[item_id].__getitem__)
        score = sum(shares[item_id].values())
        candidates.append(Candidate(item_id, score, Cause("similar_to", shares[item_id][strongest], strongest)))
    return Ranked(candidates[:limit], model_version)


def simulated_shop(theme: str, *, subjects: int) -> World:
    """A synthetic shop for demonstrations; the same theme and size give the same shop."""
    return World(replace(SHOPS[theme], subjects=subjects), seed=SIMULATION_SEED)
