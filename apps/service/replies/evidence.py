"""The one place that asks knowledge for passages and understanding for what a message means."""

from dataclasses import dataclass
from typing import Any

from apps.service.knowledge.models import SourceKind
from apps.service.knowledge.selectors import search
from apps.service.replies.grounding.wording import coverage, words_of
from apps.service.understanding.selectors import Understanding, understand

__all__ = ["Understanding", "understand"]

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


def is_out_of_scope(understood: Understanding) -> bool:
    """Only a model that was calibrated can tell; words in common with examples can not."""
    return understood.out_of_scope and understood.degraded in (None, "previous_version")


def known_intent(understood: Understanding) -> str | None:
    """The intent, if the message is within what the intents cover."""
    return None if understood.out_of_scope else understood.intent


def entities_as_json(understood: Understanding) -> list[dict[str, Any]]:
    return [{"kind": each.kind, "text": each.text, "value": each.value} for each in understood.entities]


def alternatives_as_json(understood: Understanding) -> list[list[Any]]:
    return [[each.intent, each.share] for each in understood.alternatives]
