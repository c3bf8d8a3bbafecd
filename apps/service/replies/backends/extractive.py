"""The default: sentences of the sources, word for word, without the marks of Markdown. Needs no model and gives the
same every time."""

import re
from collections.abc import Iterator
from functools import lru_cache
from threading import Event

from apps.service.replies.backends.base import ReplyRequest
from apps.service.replies.grounding.wording import coverage, sentences_of, words_of

LEAST_OF_SENTENCE = 0.15
MOST_SENTENCES = 3
_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|$)")
_LINE_MARK = re.compile(r"^[ \t]*(?:>[ \t]?)*(?:(?:[-*+•]|\d{1,2}[.)])[ \t]+)?")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?: \"[^\"]*\")?\)")
_EMPHASIS = re.compile(r"(\*\*|__|\*|`)(?=\S)(.+?)(?<=\S)\1(?!\w)")


class ExtractiveBackend:
    name = "extractive"
    is_outside = False
    tokens_used: int | None = 0

    def generate(self, request: ReplyRequest, cancel: Event) -> Iterator[str]:
        for number, sentence in extract_sentences(
            request.question, [(each.title, each.text) for each in request.sources]
        ):
            yield f"{sentence} [{number}] "


def extract_sentences(question: str, sources: list[tuple[str, str]]) -> list[tuple[int, str]]:
    """Up to MOST_SENTENCES sentences of the source, (title, text), that speaks most of the question, in their order;
    each with the source's number, from 1. Sentences of one source hang together, so no other is mixed in."""
    asked = words_of(question)
    scored = []
    for number, (title, text) in enumerate(sources, start=1):
        about = 0.25 * coverage(asked, words_of(title))
        for place, sentence in enumerate(readable_sentences(text)):
            share = coverage(asked, words_of(sentence))
            if share >= LEAST_OF_SENTENCE:
                scored.append((share + about - 0.02 * number, number, place, sentence))
    if not scored:
        return []
    best = sorted(scored, key=lambda each: (-each[0], each[1], each[2]))
    leader = best[0][1]
    chosen = [each for each in best if each[1] == leader][:MOST_SENTENCES]
    return [(number, sentence) for _, number, _, sentence in sorted(chosen, key=lambda each: each[2])]


@lru_cache(maxsize=1_000)
def readable_sentences(text: str) -> tuple[str, ...]:
    """Sentences and list entries of Markdown as a customer reads them; headings are none."""
    lines = [_without_marks(line) for line in text.splitlines() if not _HEADING.match(line)]
    return tuple(sentence for line in lines for sentence in sentences_of(line))


def _without_marks(line: str) -> str:
    line = _LINK.sub(r"\1", _LINE_MARK.sub("", line, count=1))
    return _EMPHASIS.sub(r"\2", line)
