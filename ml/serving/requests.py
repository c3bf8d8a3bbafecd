"""What a next-item predictor is asked and what it answers: plain JSON, so that the same dict travels any way."""

from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from ml.data.item_features import ItemFeatures
from ml.data.vocabulary import Vocabulary
from ml.evaluation.ranking import top_items

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]


class NextItemRequest(TypedDict):
    """A subject's events, oldest first, as four lists of equal length, and what to rank.

    `exclude` never comes back. With `candidates` only these are ranked. `now` is the time of asking, Unix seconds.
    """

    items: list[str]
    types: list[str]
    times: list[float]
    values: list[float | None]
    count: int
    exclude: NotRequired[list[str]]
    candidates: NotRequired[list[str] | None]
    now: NotRequired[float]


class NextItemPrediction(TypedDict):
    """At most `count` items, best first, with their scores in [0, 1].

    attention has one weight per event of the request; over the known ones they sum to 1, unknown ones have 0. because
    holds, per item, the index of the event that contributed most, or None where no event did; shares, per item, the
    part of its score that is owed to that event, in [0, 1], 0 where there is none.
    """

    items: list[str]
    scores: list[float]
    attention: list[float]
    because: list[int | None]
    shares: list[float]


class RankingRequest(TypedDict):
    """Items of one list, told by their features: by name one value for each item, None where it is not known."""

    features: dict[str, list[float | None]]


class RankingPrediction(TypedDict):
    """A score for each item of the request, in its order; parts holds by feature what it adds, and sums to the score.

    Scores are logits: their differences within a list mean something, their size does not.
    """

    scores: list[float]
    parts: dict[str, list[float]]


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
    codes = np.array([vocabulary.item_codes.get(item, 0) for item in request["items"]], dtype=np.int64)
    index = np.flatnonzero(codes)[-limit:]
    return History(index=index, item=codes[index])


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


def strongest_events(
    contribution: Floats, scores: list[float], history: History
) -> tuple[list[int | None], list[float]]:
    """Per item the request's event that contributed most and its share of the score; None and 0 where none did.

    contribution (events, items) holds parts of the items' scores.
    """
    if not len(contribution):
        return [None] * len(scores), [0.0] * len(scores)
    because: list[int | None] = []
    shares: list[float] = []
    for item, event in enumerate(contribution.argmax(axis=0)):
        part = float(contribution[event, item])
        because.append(int(history.index[event]) if part > 0.0 else None)
        shares.append(min(1.0, part / scores[item]) if part > 0.0 else 0.0)
    return because, shares


def spread_attention(weight: Floats, history: History, events: int) -> list[float]:
    """One weight per event of the request: `weight` at the known events, 0 elsewhere."""
    attention = np.zeros(events)
    attention[history.index] = weight
    return [float(share) for share in attention]
