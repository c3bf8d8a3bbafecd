"""Customer service's only door to `ml`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from ml.data.labelled_texts import LabelledTexts, language_of
from ml.serving.intent_requests import IntentPrediction, IntentRequest
from serving import gateway

__all__ = ["open_snapshot", "script_language"]

# The line of models that answers what a customer wants.
INTENT_MODEL = "intents"

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
