"""Order ids, by patterns that a tenant writes: `ORD-{digits:6}` is ORD-123456.

An own small notation and not regular expressions: one that a tenant sends could make the process hang.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from apps.service.understanding.entities.kinds import Entity

CLASSES = {"digits": "0-9", "letters": "A-Za-z", "any": "0-9A-Za-z"}
KINDS = {"digits": frozenset({"digits"}), "letters": frozenset({"letters"}), "any": frozenset({"digits", "letters"})}
MOST_REPEATS = 40
# Where a tenant has said nothing: what most shops write.
USUAL_PATTERNS = ("#{letters:0-3}{digits:4-12}", "{letters:1-4}-{digits:4-12}")
_PART = re.compile(r"\{(?P<name>[a-z]+):(?P<least>\d{1,3})(?:-(?P<most>\d{1,3}))?\}|(?P<literal>[^{}]+)")
# A word that says so makes an id of what follows, if that has a digit.
_NAMED = re.compile(
    r"(?:\border(?:\s{1,5}(?:id|no|nr|number|code))?|订单(?:编?号|号码)?|单号)\s{0,5}(?:is|[:：#是为]|\.)?\s{0,5}#?"
    r"(?P<id>(?=[A-Za-z-]{0,12}[0-9])[A-Za-z0-9](?:[A-Za-z0-9-]{2,30})[A-Za-z0-9])(?![A-Za-z0-9])",
    re.IGNORECASE,
)


class _Part(NamedTuple):
    """A piece of a pattern and its regular expression; text that stands as it is has no kinds."""

    text: str
    made: str
    kinds: frozenset[str] = frozenset()
    least: int = 1
    most: int = 1


class PatternError(ValueError):
    """The message says what is wrong with a pattern, and what would be right."""


def find_orders(text: str, patterns: Sequence[str]) -> Iterator[Entity]:
    """Ids that meet one of the patterns (USUAL_PATTERNS where there is none), or follow a word for order."""
    for pattern in patterns or USUAL_PATTERNS:
        try:
            ids = read_pattern(pattern)
        except PatternError:
            continue  # stored when it was still taken
        for found in ids.finditer(text):
            yield _entity(text, found.start(), found.end())
    for found in _NAMED.finditer(text):
        yield _entity(text, found.start("id"), found.end("id"))


@lru_cache(maxsize=1_000)
def read_pattern(pattern: str) -> re.Pattern[str]:
    """Raises PatternError."""
    if not 1 <= len(pattern) <= 100:
        raise PatternError(f"a pattern has 1 to 100 characters, this one {len(pattern)}")
    parts, place = [], 0
    while place < len(pattern):
        part = _PART.match(pattern, place)
        if part is None:
            raise PatternError(
                f"can not be read from '{pattern[place:]}' on; write text as it is and {{digits:6}}, {{letters:2-4}} "
                "or {any:8} for what changes"
            )
        parts.append(_read_part(part))
        place = part.end()
    if not any(part.kinds for part in parts):
        raise PatternError("holds nothing that changes; add {digits:6}, {letters:2-4} or {any:8}")
    _refuse_guessing(parts)
    made = "".join(part.made for part in parts)
    return re.compile(f"(?<![A-Za-z0-9]){made}(?![A-Za-z0-9])", re.IGNORECASE)


def _read_part(part: re.Match[str]) -> _Part:
    if part["literal"]:
        return _Part(part[0], re.escape(part[0]))
    name, least, most = part["name"], int(part["least"]), int(part["most"] or part["least"])
    if name not in CLASSES:
        raise PatternError(f"'{name}' is unknown; known are {', '.join(CLASSES)}")
    if not (least <= most <= MOST_REPEATS and most):
        raise PatternError(f"'{part[0]}' must name 1 to {MOST_REPEATS}, or a range such as 4-8")
    return _Part(part[0], f"[{CLASSES[name]}]{{{least},{most}}}", KINDS[name], least, most)


def _refuse_guessing(parts: Sequence[_Part]) -> None:
    """Of two ranges that do not show where they end every pair of lengths would be tried, of ten every set of ten."""
    following: frozenset[str] = frozenset()
    is_last = True
    for part in reversed(parts):
        if not part.kinds:
            following = frozenset(kind for kind in KINDS["any"] if re.match(f"[{CLASSES[kind]}]", part.text, re.I))
            continue
        if part.least < part.most:
            if part.kinds & following and not is_last:
                raise PatternError(
                    f"'{part.text}' does not show where it ends, as what follows may look the same; "
                    "give it one length, such as {any:8}, or put text such as '-' behind it"
                )
            is_last = False
        following = part.kinds if part.least else part.kinds | following


def _entity(text: str, start: int, end: int) -> Entity:
    return Entity("order", text[start:end], start, end, {"id": text[start:end]})
