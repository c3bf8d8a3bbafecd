"""Customer service's only door to `ml`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from ml.data.chunking import Chunk, chunk_text, sentences
from ml.data.labelled_texts import LabelledTexts, language_of
from ml.policy.risk_coverage import TooFewLabels, choose_send_threshold, least_labels, risk_coverage_curve
from ml.serving.intent_requests import IntentPrediction, IntentRequest
from ml.serving.passages import Weighing, distinct_sentences, weigh_passages
from ml.serving.passages import sentences as question_sentences
from serving import gateway

if TYPE_CHECKING:
    from ml.serving.generation import TextGenerator

__all__ = [
    "Chunk",
    "chunk_text",
    "open_snapshot",
    "question_sentences",
    "rerank",
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

script_language = language_of
open_snapshot = LabelledTexts.open


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


def rerank(
    asked: Sequence[Vector], passages: Sequence[Vector | None], by_words: Sequence[float], usual: Vector | None
) -> list[float]:
    """How well each passage answers the query: its vector, None where it has none yet, beside each sentence's of the
    query, `asked`, and the relevance of its words. `usual` is what queries have in common."""
    unread = np.zeros_like(asked[0])
    moved = distinct_sentences(np.stack(list(asked)), usual, WEIGHING)
    rows = np.stack([unread if passage is None else passage for passage in passages])
    scores: list[float] = weigh_passages(moved, rows, np.array(by_words), WEIGHING).tolist()
    return scores


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
