"""The one place that asks knowledge for passages and understanding for what a message means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.service.knowledge.models import SourceKind
from apps.service.knowledge.selectors import search
from apps.service.replies.grounding.wording import coverage, words_of

# A macro or past reply is given as it is, an article is quoted.
TEMPLATES = (SourceKind.MACRO, SourceKind.REPLY)
LANGUAGES = ("en", "zh")
PASSAGES_READ = 20


@dataclass(frozen=True)
class Evidence:
    """What a sentence may rest on: a passage of a source, or what is known of an order. `source` names it, `quote` is
    an excerpt of `text`, word for word."""

    source: str
    version: int
    kind: str
    title: str
    quote: str
    text: str
    score: float


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


def find_passages(query: str, *, language: str | None) -> tuple[list[Evidence], list[Evidence]]:
    """(macros and past replies, articles) that customers may read, best first; one search."""
    known = (language or "").partition("-")[0]
    found = [
        Evidence(str(each.source_id), each.version, each.kind, each.title, each.quote, each.text, each.score)
        for each in search(query, language=known if known in LANGUAGES else None, count=PASSAGES_READ)
    ]
    templates = [passage for passage in found if passage.kind in TEMPLATES]
    return templates, [passage for passage in found if passage.kind not in TEMPLATES]


def match(query: str, passage: Evidence) -> float:
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


def is_out_of_scope(understood: Understanding) -> bool:
    """Only a model that was calibrated can tell; words in common with examples can not."""
    return understood.out_of_scope and understood.degraded in (None, "previous_version")
