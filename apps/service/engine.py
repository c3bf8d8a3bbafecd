"""Customer service's only door to `ml`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from behavior.selectors import RecentEvent
from ml.data.chunking import Chunk, chunk_text, sentences
from ml.data.labelled_texts import LabelledTexts, language_of
from ml.data.passage_lists import PassageLists
from ml.data.reply_pairs import CustomerEvent, ReplyPairs
from ml.policy.risk_coverage import TooFewLabels, choose_send_threshold, least_labels, risk_coverage_curve
from ml.serving.cross_encoder_requests import (
    ASKED_READ,
    CrossEncoderPrediction,
    CrossEncoderRequest,
    asked_beside,
    passage_text,
    sample_cross_encoder_requests,
)
from ml.serving.intent_requests import IntentPrediction, IntentRequest
from ml.serving.passages import Weighing, distinct_sentences, weigh_passages
from ml.serving.passages import sentences as question_sentences
from ml.serving.reply_requests import (
    MOST_CHARACTERS,
    Candidate,
    ReplyPrediction,
    ReplyRequest,
    sample_reply_requests,
)
from ml.simulation.replies import SITUATIONS, STARTED, simulate_replies
from serving import gateway

if TYPE_CHECKING:
    from ml.serving.generation import TextGenerator

__all__ = [
    "ASKED_READ",
    "MADE_EVENTS_START",
    "Chunk",
    "PassageLists",
    "ReplyPairs",
    "asked_beside",
    "chunk_text",
    "open_passage_lists",
    "open_reply_pairs",
    "open_snapshot",
    "passage_text",
    "question_sentences",
    "rerank",
    "sample_cross_encoder_requests",
    "script_language",
    "send_threshold",
    "sentences",
    "text_generator",
]

# The line of models that answers what a customer wants.
INTENT_MODEL = "intents"

# As the benchmark chose them for long questions (docs/benchmarks.md).
WEIGHING = Weighing()
Vector = NDArray[np.float32]
# The line of models that chooses among macros and past replies, and the task that trains it.
REPLY_MODEL, REPLY_TASK = "replies", "replies"
# The line of models that reads a question beside each of the best passages, and the task that trains it.
CROSS_ENCODER_MODEL, CROSS_ENCODER_TASK = "cross-encoder", "cross_encoder"
# So many candidates a model of replies is offered, in training as in answering.
MOST_CANDIDATES = 60

script_language = language_of
open_snapshot = LabelledTexts.open
open_reply_pairs = ReplyPairs.open
open_passage_lists = PassageLists.open


@dataclass(frozen=True)
class Classified:
    """`prediction` is None where no model answered."""

    prediction: IntentPrediction | None
    model_version: UUID | None
    degraded: str | None


def classify(texts: Sequence[str]) -> list[Classified]:
    """What the live model of the tenant says of each text."""
    answers = gateway.classify(INTENT_MODEL, [IntentRequest(text=text) for text in texts])
    return [Classified(answer.prediction, answer.model_version, answer.degraded) for answer in answers]


def write_snapshot(path: Path, *, texts: list[str], intents: list[str | None], held_out: list[bool]) -> None:
    """Write labelled texts as the engine's training reads them; intent None says that a text is out of scope."""
    LabelledTexts(texts, intents, held_out).write(path)


def sample_requests(texts: LabelledTexts, count: int) -> list[IntentRequest]:
    """Requests with texts spread evenly over the examples."""
    step = max(1, len(texts) // count)
    return [IntentRequest(text=text) for text in texts.texts[::step][:count]]


@dataclass(frozen=True)
class RankedReplies:
    """`prediction` is None where no model answered."""

    prediction: ReplyPrediction | None
    model_version: UUID | None
    degraded: str | None


# The replies of a simulated desk by their situation, and when its first customer writes.
MADE_SITUATIONS = {name: reply for name, (_, reply) in SITUATIONS.items()}
MADE_EVENTS_START = STARTED


def made_replies(count: int, *, seed: int) -> ReplyPairs:
    """Conversations of a simulated desk with the reply that fits, a minute apart; for demonstrations."""
    return simulate_replies(count, generator=np.random.default_rng(seed))


def may_rank_replies() -> bool:
    """Whether the tenant has a model of replies; asks the database once in a second."""
    return gateway.has_model(REPLY_MODEL)


def rank_replies(
    conversation: list[str], events: Sequence[RecentEvent], candidates: Sequence[tuple[str, str]]
) -> RankedReplies:
    """What the live model of the tenant says of the candidates, (id, text); messages and events are oldest first."""
    request = ReplyRequest(
        conversation=[text[:MOST_CHARACTERS] for text in conversation],
        events=[
            CustomerEvent(type=each.type, item=each.item_id, time=each.occurred_at.timestamp(), value=each.value)
            for each in events
        ],
        candidates=[Candidate(id=name, text=text[:MOST_CHARACTERS]) for name, text in candidates],
    )
    answer = gateway.rank_replies(REPLY_MODEL, request)
    return RankedReplies(answer.prediction, answer.model_version, answer.degraded)


def write_reply_pairs(
    path: Path,
    *,
    conversations: list[list[str]],
    replies: list[str],
    events: list[list[CustomerEvent]],
    groups: list[str],
    times: list[float],
) -> None:
    """Write conversations with the replies that were given, as the engine's training reads them."""
    ReplyPairs(conversations, replies, events, groups, times).write(path)


def reply_training_config() -> dict[str, Any]:
    """Lists as long as those that are answered, and a newest part that no version trains on."""
    return {"candidates": MOST_CANDIDATES, "refit": False}


def sample_ranking_requests(pairs: ReplyPairs, count: int) -> list[ReplyRequest]:
    return sample_reply_requests(pairs, count, MOST_CANDIDATES)


def distinct(asked: Vector, usual: Vector | None) -> Vector:
    """Vectors (sentences, dimension) of a query, moved away from what queries have in common, where that is known."""
    return distinct_sentences(asked, usual, WEIGHING)


def rerank(asked: Sequence[Vector], passages: Vector, by_words: Sequence[float], usual: Vector | None) -> list[float]:
    """How well each passage answers the query: its vector in `passages` (N, dimension), zeros where it has none yet,
    beside each sentence's of the query, `asked`, and the relevance of its words. `usual` is what queries have in
    common."""
    moved = distinct(np.stack(list(asked)), usual)
    scores: list[float] = weigh_passages(moved, passages, np.array(by_words), WEIGHING).tolist()
    return scores


def may_cross_encode() -> bool:
    """Whether the tenant has a cross-encoder; asks the database once in a second."""
    return gateway.has_model(CROSS_ENCODER_MODEL)


def cross_encode(asked: list[str], passages: list[str]) -> CrossEncoderPrediction | None:
    """What the live cross-encoder of the tenant says of the first passages; None where none answered in time.

    `asked` has what is read of the question beside each passage; passages are in the order of the search.
    """
    request = CrossEncoderRequest(asked=asked, passages=passages)
    return gateway.judge_passages(CROSS_ENCODER_MODEL, request, cross_encoder_seconds()).prediction


def cross_encoder_seconds() -> float:
    """What a search waits for it."""
    return float(settings.CROSS_ENCODER_DEADLINE)


@cache
def text_generator(folder: Path) -> "TextGenerator":
    """The causal language model of a folder, loaded once in this process; for workers alone."""
    # Loads torch and transformers, which no other process needs for this.
    from ml.serving.generation import TextGenerator

    return TextGenerator(folder)


def send_threshold(
    scores: Sequence[float], is_right: Sequence[bool], *, error_rate: float
) -> tuple[float | None, int, str, list[dict[str, Any]]]:
    """(threshold or None, labels needed at least, why there is none, points of the risk-coverage curve)."""
    if not 0 < error_rate < 1:
        return None, 0, "error_rate must lie between 0 and 1; change it in the settings", []
    needed = least_labels(error_rate)
    curve = [point.to_dict() for point in risk_coverage_curve(scores, is_right)] if scores else []
    try:
        chosen, _ = choose_send_threshold(scores, is_right, error_rate=error_rate)
    except TooFewLabels as error:
        return None, needed, f"{error}; let agents judge more drafts", curve
    if chosen is None:
        return None, needed, f"even the surest drafts are wrong in more than {error_rate:.1%} of cases", curve
    return chosen.threshold, needed, "", curve
