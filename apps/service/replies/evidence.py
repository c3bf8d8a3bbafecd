"""The one place that asks knowledge for passages and understanding for what a message means."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from apps.service.replies.grounding.wording import coverage, words_of

TEMPLATES = ("macro", "past_reply")
ARTICLES = ("article",)
AUDIENCE = "customer"


@dataclass(frozen=True)
class Passage:
    source_id: str
    version: int
    kind: str
    title: str
    quote: str
    text: str
    score: float
    stages: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Understanding:
    intent: str | None
    confidence: float
    out_of_scope: bool
    alternatives: Sequence[tuple[str, float]]
    entities: Sequence[Any]
    sentiment: float
    urgency: float
    language: str | None
    model_version: UUID | None
    degraded: str | None


def understand(text: str) -> Understanding:
    chinese = len(re.findall(r"[\u3400-\u9fff]", text)) > 0.2 * len(text)
    return Understanding(None, 0.0, False, (), (), 0.0, 0.0, "zh" if chinese else "en", None, "no_model")


def find_passages(query: str, *, kinds: Sequence[str], language: str | None, count: int) -> list[Passage]:
    return []


def match(query: str, passage: Passage) -> float:
    """How much of what is asked the passage speaks of, 0 to 1."""
    return match_text(query, f"{passage.title}\n{passage.text}")


def match_text(query: str, text: str) -> float:
    """Share of the query's content words that the text holds, 0 to 1."""
    return coverage(words_of(query), words_of(text))


def rank_templates(asked: Any, candidates: Sequence[Any]) -> list[Any]:
    return list(candidates)


def is_upset(understood: Understanding) -> bool:
    return False


def is_urgent(understood: Understanding) -> bool:
    return False


def entities_as_json(understood: Understanding) -> list[Any]:
    return list(understood.entities)
