"""Whether a reply says only what its sources say, sentence by sentence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from apps.service.replies.grounding.claims import Claim, claims_of, unsupported
from apps.service.replies.grounding.wording import clauses_of, coverage, sentences_of, without_negation, words_of

# Share of a sentence's content words that its source must hold.
LEAST_SUPPORT = 0.6
# A clause with fewer content words says too little to be compared.
LEAST_WORDS = 2
CITATION = re.compile(r"\s*\[(\d{1,2})\]")


class Clause(NamedTuple):
    words: frozenset[str]
    is_negative: bool


@dataclass(frozen=True)
class Source:
    """Text that a sentence may cite, the title in its first line; `number` counts from 1, as the marks [1] in a
    generated reply do."""

    number: int
    text: str

    @cached_property
    def claims(self) -> frozenset[Claim]:
        return claims_of(self.text)

    @cached_property
    def words(self) -> frozenset[str]:
        return words_of(self.text)

    @cached_property
    def clauses(self) -> list[Clause]:
        # A title such as "Used items?" states nothing.
        return _clauses(self.text.partition("\n")[2])


@dataclass(frozen=True)
class Sentence:
    """A sentence of a reply without its marks; `source` is the number of the source that backs it."""

    text: str
    source: int


@dataclass(frozen=True)
class Dropped:
    """A sentence that nothing backs, and why: no_source, denied (its source says the opposite), or the claims that no
    source makes."""

    text: str
    why: str


def check_sentence(raw: str, sources: Sequence[Source], facts: frozenset[Claim]) -> Sentence | Dropped:
    """Judge one sentence of a generated reply.

    It must be said by one source: one that it marks, or else the one that says most of it. Its claims must be that
    source's own, or the order data's (`facts`), and it may not deny what the source says or state what that denies.
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
    stating = [source for source in backed if not unsupported(claims, source.claims | facts)]
    for source in sorted(stating, key=lambda each: -coverage(words, each.words)):
        if not any(_is_denied(clause, source.clauses) for clause in _clauses(text)):
            return Sentence(text, source.number)
    if stating:
        return Dropped(text, "denied")
    missing = unsupported(claims, backed[0].claims | facts)
    return Dropped(text, ", ".join(f"{claim.value} {claim.unit}".strip() for claim in missing))


def _clauses(text: str) -> list[Clause]:
    read = [without_negation(clause) for clause in clauses_of(text)]
    found = [Clause(words_of(rest), is_negative) for rest, is_negative in read]
    return [clause for clause in found if len(clause.words) >= LEAST_WORDS]


def _is_denied(clause: Clause, said: Sequence[Clause]) -> bool:
    """Whether the clause of a source that is most like it says the opposite; or, where none holds all of it, one that
    it holds: "you can return opened items within 30 days" where opened items cannot be returned."""
    likeness = [_likeness(clause, each) for each in said]
    best = max(likeness, default=0.0)
    if best == 0.0:
        return False
    nearest = [each for each, like in zip(said, likeness, strict=True) if like == best]
    if all(each.is_negative != clause.is_negative for each in nearest):
        return True
    if clause.is_negative or any(clause.words <= each.words for each in nearest):
        return False
    return any(each.is_negative and each.words <= clause.words for each in said)


def _likeness(one: Clause, other: Clause) -> float:
    return len(one.words & other.words) / len(one.words | other.words)


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
