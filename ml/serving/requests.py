"""What a next-item predictor is asked and what it answers: plain JSON, so that the same dict travels any way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from ml.data.item_features import ItemFeatures
from ml.data.vocabulary import Vocabulary
from ml.evaluation.ranking import top_items
from ml.explain.parts import MEMBERS, Parts

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]

# So many events are named for each item.
OWED = 3
# Items whose scores are taken apart at once: a list of a whole catalogue would need too much memory.
ITEMS_AT_ONCE = 2_048


class NextItemRequest(TypedDict):
    """A subject's events, oldest first, as four lists of equal length, and what to rank.

    `exclude` never comes back. With `candidates` only these are ranked. `now` is the time of asking, Unix seconds. With
    `decompose` the answer has `members`. `attribution` names one of ml.explain.METHODS by which the network's
    part is shared among the events; the usual one is content.
    """

    items: list[str]
    types: list[str]
    times: list[float]
    values: list[float | None]
    count: int
    exclude: NotRequired[list[str]]
    candidates: NotRequired[list[str] | None]
    now: NotRequired[float]
    decompose: NotRequired[bool]
    attribution: NotRequired[str]


class EventPart(TypedDict):
    """`event` is an index into the request's events; `part` is what it adds to a score, below 0 where it lowers it."""

    event: int
    part: float


class MemberPart(TypedDict):
    """What one member of the mixture adds to a score. The events' parts, largest first, need not sum to it: the rest
    is owed to no event."""

    name: str
    part: float
    events: list[EventPart]


class NextItemPrediction(TypedDict):
    """At most `count` items, best first, with their scores in [0, 1].

    attention has one weight per event of the request; over the known ones they sum to 1, unknown ones have 0. because
    holds, per item, the index of the event that contributed most, or None where no event did; shares, per item, the
    part of its score that is owed to that event, in [0, 1], 0 where there is none. owed has, per item, the events that
    contributed most, the strongest first and at most OWED, each with its part of the score. members, where they were
    asked for, are per item the parts of its score, which sum to it.
    """

    items: list[str]
    scores: list[float]
    attention: list[float]
    because: list[int | None]
    shares: list[float]
    owed: list[list[EventPart]]
    members: NotRequired[list[list[MemberPart]]]


class Explained(TypedDict):
    """The fields of a NextItemPrediction that name events."""

    because: list[int | None]
    shares: list[float]
    owed: list[list[EventPart]]
    members: NotRequired[list[list[MemberPart]]]


class RankingRequest(TypedDict):
    """Items of one list, told by their features: by name one value for each item, None where it is not known."""

    features: dict[str, list[float | None]]


class RankingPrediction(TypedDict):
    """A score for each item of the request, in its order; parts holds by feature what it adds, and sums to the score.

    Scores are logits: their differences within a list mean something, their size does not.
    """

    scores: list[float]
    parts: dict[str, list[float]]


class ClickRateRequest(TypedDict):
    """Candidates for one place, as columns of equal length: `candidates` values by field, `numbers` by name with None
    for unknown. `context` has one value by field for all of them, and `history` what the subject did before, oldest
    first, as values of the model's target field."""

    candidates: dict[str, list[str]]
    numbers: NotRequired[dict[str, list[float | None]]]
    context: NotRequired[dict[str, str]]
    history: NotRequired[list[str]]


class ClickRatePrediction(TypedDict):
    """The chance of a click on each candidate, in (0, 1), in their order."""

    probabilities: list[float]


class Outlook(TypedDict):
    """How likely a subject's outcomes are after the last event of a request, as far as the model has heads for them.

    next_type: by event type, summing to 1. purchase, churn: that one is made, or that nothing at all happens, within
    the days that the model was trained for.
    """

    next_type: NotRequired[dict[str, float]]
    purchase: NotRequired[float]
    churn: NotRequired[float]


class Predictor(Protocol):
    """Answers the requests of its task: NextItemRequest by NextItemPrediction, RankingRequest by RankingPrediction."""

    @property
    def task(self) -> str: ...

    @property
    def nbytes(self) -> int:
        """Memory that the predictor holds, in bytes."""
        ...

    def predict(self, requests: list[Any]) -> list[Any]: ...

    def add_items(self, ids: list[str], features: ItemFeatures) -> "Predictor":
        """One that also ranks new items. Raises ValueError where it cannot."""
        ...


@dataclass(frozen=True)
class History:
    """The known events of a request: their indices in it, and their item codes, both oldest first."""

    index: Codes
    item: Codes


def read_history(request: NextItemRequest, vocabulary: Vocabulary, *, limit: int) -> History:
    """The last `limit` events whose item is known. Raises ValueError that names the field at fault."""
    events = len(request["items"])
    for field in ("types", "times", "values"):
        if len(request[field]) != events:
            raise ValueError(f"{field} has {len(request[field])} entries where items has {events}; give one per event")
    if request["count"] < 1:
        raise ValueError("count must be 1 or more")
    codes = item_codes(request["items"], vocabulary)
    index = np.flatnonzero(codes)[-limit:]
    return History(index=index, item=codes[index])


def item_codes(items: list[str], vocabulary: Vocabulary) -> Codes:
    """One code for each item, 0 for one that the model has never heard of."""
    return np.array([vocabulary.item_codes.get(item, 0) for item in items], dtype=np.int64)


def choose_items(scores: Floats, request: NextItemRequest, vocabulary: Vocabulary) -> tuple[list[str], list[float]]:
    """The best `count` items that the request allows, and their scores. scores (items,) must not be negative.

    Candidates that the model has never heard of follow after the known ones, in the order given, with score 0.
    """
    excluded = request.get("exclude") or []
    candidates = request.get("candidates")
    if candidates is None:
        allowed = np.array(scores)
        allowed[vocabulary.known_items(excluded) - 1] = -1.0
        best = top_items(allowed, request["count"])
        best = best[allowed[best] >= 0.0]
        return [vocabulary.items[item] for item in best], [float(scores[item]) for item in best]
    refused = set(excluded)
    wanted = [item for item in dict.fromkeys(candidates) if item not in refused]
    known = [item for item in wanted if item in vocabulary.item_codes]
    known_scores = scores[vocabulary.known_items(known) - 1]
    ranked = [known[position] for position in top_items(known_scores, len(known))]
    ranked += [item for item in wanted if item not in vocabulary.item_codes]
    ranked = ranked[: request["count"]]
    codes = (vocabulary.item_codes.get(item, 0) for item in ranked)
    return ranked, [float(scores[code - 1]) if code else 0.0 for code in codes]


def strongest_events(contribution: Floats, history: History) -> list[list[EventPart]]:
    """Per item the events of the request that contributed most, at most OWED, the strongest first.

    contribution (events, items) holds parts of the items' scores; only what is above 0 counts.
    """
    order = np.argsort(-contribution, axis=0, kind="stable")[:OWED]
    return [
        [
            EventPart(event=int(history.index[event]), part=float(contribution[event, item]))
            for event in order[:, item]
            if contribution[event, item] > 0.0
        ]
        for item in range(contribution.shape[1])
    ]


def explained(
    parts_of: Callable[[slice], Parts], scores: list[float], history: History, *, decompose: bool
) -> Explained:
    """The fields of a prediction that say what its items' scores are owed to; `parts_of` takes those of a run of items
    apart."""
    found = Explained(because=[], shares=[], owed=[])
    members: list[list[MemberPart]] = []
    for begin in range(0, len(scores), ITEMS_AT_ONCE):
        run = slice(begin, begin + ITEMS_AT_ONCE)
        parts = parts_of(run)
        found["owed"] += strongest_events(parts.of_events(), history)
        if decompose:
            members += describe_members(parts, history)
    for score, owed in zip(scores, found["owed"], strict=True):
        found["because"].append(owed[0]["event"] if owed else None)
        found["shares"].append(min(1.0, owed[0]["part"] / score) if owed else 0.0)
    return Explained(**found, members=members) if decompose else found


def describe_members(parts: Parts, history: History) -> list[list[MemberPart]]:
    """The parts of each item's score by member, those that add something, in the order of MEMBERS."""
    return [
        [
            MemberPart(name=name, part=float(score[item]), events=_event_parts(events[:, item], history))
            for name, score, events in zip(MEMBERS, parts.scores, parts.events, strict=True)
            if score[item] or events[:, item].any()
        ]
        for item in range(parts.base.shape[1])
    ]


def _event_parts(part: Floats, history: History) -> list[EventPart]:
    order = np.argsort(-np.abs(part), kind="stable")
    return [EventPart(event=int(history.index[event]), part=float(part[event])) for event in order if part[event]]


def spread_attention(weight: Floats, history: History, events: int) -> list[float]:
    """One weight per event of the request: `weight` at the known events, 0 elsewhere."""
    attention = np.zeros(events)
    attention[history.index] = weight
    return [float(share) for share in attention]
