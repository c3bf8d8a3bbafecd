"""What a replies predictor is asked and what it answers; and requests out of pairs, as an application makes them."""

from typing import TypedDict

import numpy as np

from ml.data.reply_pairs import CustomerEvent, ReplyPairs

MOST_CHARACTERS = 1_000


class Candidate(TypedDict):
    id: str
    text: str


class ReplyRequest(TypedDict):
    """`conversation` holds messages, oldest first, the last being what the reply answers; events are oldest first."""

    conversation: list[str]
    events: list[CustomerEvent]
    candidates: list[Candidate]


class RankedReply(TypedDict):
    """`score` compares within one answer; `probability` is that this reply is the right one, calibrated on lists of
    as many drawn replies as the training was set to, and less as far as the conversation is unlike the training's."""

    id: str
    score: float
    probability: float


class ReplyPrediction(TypedDict):
    """All candidates, best first. `attention` has one weight for each event of the request; they sum to 1 over those
    that were read, and are 0 where the model reads no events. `familiar` is how like the conversation is to those of
    the training, 0 to 1."""

    replies: list[RankedReply]
    attention: list[float]
    familiar: float


def sample_reply_requests(pairs: ReplyPairs, count: int, candidates: int) -> list[ReplyRequest]:
    """At most `count` requests with conversations spread evenly over the pairs; each ranks the newest `candidates`
    texts."""
    texts = list(dict.fromkeys(reversed(pairs.replies)))[:candidates]
    offered = [Candidate(id=str(number), text=text) for number, text in enumerate(texts)]
    rows = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(np.int64))
    return [
        ReplyRequest(conversation=pairs.conversations[row], events=events, candidates=offered)
        for row, events in zip(rows, pairs.events_of(rows), strict=True)
    ]
