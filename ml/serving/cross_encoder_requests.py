"""What a cross-encoder predictor is asked and what it answers; and what it reads of a long question."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from ml.data.passage_lists import PassageLists
from ml.serving.passages import Vectors

# A question, or the part of it that is read beside a passage, in characters.
ASKED_READ = 240


class CrossEncoderRequest(TypedDict):
    """`passages` in the order of the search, best first; `asked` has what is read of the question beside each."""

    asked: list[str]
    passages: list[str]


class CrossEncoderPrediction(TypedDict):
    """Of the request's first passages, as many as the model reads. `scores` compare within one answer;
    `probabilities` are that a passage answers, calibrated on the tenant's own questions."""

    scores: list[float]
    probabilities: list[float]


def passage_text(title: str, text: str) -> str:
    """A passage as it is read."""
    return f"{title}\n{text}"


def asked_beside(sentences: Sequence[str], asked: Vectors, passage: Vectors) -> str:
    """The sentences of a question that lie nearest to a passage, in their order, of at most ASKED_READ characters.

    `asked` (sentences, dimension) and `passage` (dimension,) are their vectors. The nearest one stands in any case.
    """
    chosen: list[int] = []
    left = ASKED_READ
    for number in np.argsort(-(asked @ passage), kind="stable").tolist():
        if chosen and len(sentences[number]) > left:
            break
        chosen.append(number)
        left -= len(sentences[number]) + 1
    return " ".join(sentences[number] for number in sorted(chosen))[:ASKED_READ]


def sample_cross_encoder_requests(lists: PassageLists, count: int) -> list[CrossEncoderRequest]:
    """At most `count` requests of what the search found, spread evenly over the lists."""
    rows = np.unique(np.linspace(0, len(lists) - 1, min(count, len(lists))).astype(np.int64))
    return [
        CrossEncoderRequest(
            asked=lists.asked[row][: lists.found[row]], passages=lists.passages[row][: lists.found[row]]
        )
        for row in rows
    ]
