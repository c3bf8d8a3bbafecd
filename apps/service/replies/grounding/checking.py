"""Whether a reply says only what its sources say, sentence by sentence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from apps.service.replies.grounding.claims import Claim, claims_of, unsupported
from apps.service.replies.grounding.wording import coverage, sentences_of, words_of

# Share of a sentence's content words that its source must hold.
LEAST_SUPPORT = 0.6
CITATION = re.compile(r"\s*\[(\d{1,2})\]")


@dataclass(frozen=True)
class Source:
    """Text that a sentence may cite; `number` counts from 1, as the marks [1] in a generated reply do."""

    number: int
    text: str

    @cached_property
    def claims(self) -> frozenset[Claim]:
        return claims_of(self.text)

    @cached_property
    def words(self) -> frozenset[str]:
        return words_of(self.text)


@dataclass(frozen=True)
class Sentence:
    """A sentence of a reply without its marks; `source` is the number of the source that backs it."""

    text: str
    source: int


@dataclass(frozen=True)
class Dropped:
    """A sentence that nothing backs, and why: no_source, or the claims that no source makes."""

    text: str
    why: str


def check_sentence(raw: str, sources: Sequence[Source], facts: frozenset[Claim]) -> Sentence | Dropped:
    """Judge one sentence of a generated reply.

    It must be said by one source: one that it marks, or else the one that says most of it. Its claims must be that
    source's own, or the order data's (`facts`).
    """
    text = CITATION.sub("", raw).strip()
    marked = {int(number) for number in CITATION.findall(raw)}
    words, claims = words_of(text), claims_of(text)
    if not words and not claims:
        return Dropped(text, "no_source")
    candidates = [source for source in sources if not marked or source.number in marked]
    backed = [source for source in candidates if coverage(words, source.words) >= LEAST_SUPPORT]
    if not backed:
        return Dropped(text, "no_source")
    for source in sorted(backed, key=lambda each: -coverage(words, each.words)):
        if not unsupported(claims, source.claims | facts):
            return Sentence(text, source.number)
    missing = unsupported(claims, backed[0].claims | facts)
    return Dropped(text, ", ".join(f"{claim.value} {claim.unit}".strip() for claim in missing))


def check_text(text: str, sources: Sequence[Source], facts: frozenset[Claim]) -> tuple[list[Sentence], list[Dropped]]:
    """All sentences of a generated reply: those that are backed, and those that are not."""
    kept: list[Sentence] = []
    dropped: list[Dropped] = []
    for raw in sentences_of(text):
        judged = check_sentence(raw, sources, facts)
        if isinstance(judged, Sentence):
            kept.append(judged)
        else:
            dropped.append(judged)
    return kept, dropped
