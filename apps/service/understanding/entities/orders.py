"""Order ids, by patterns that a tenant writes: `ORD-{digits:6}` is ORD-123456.

An own small notation and not regular expressions: one that a tenant sends could make the process hang.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from apps.service.understanding.entities.kinds import Entity

CLASSES = {"digits": "0-9", "letters": "A-Za-z", "any": "0-9A-Za-z"}
MOST_REPEATS = 40
# Where a tenant has said nothing: what most shops write.
USUAL_PATTERNS = ("#{letters:0-3}{digits:4-12}", "{letters:1-4}-{digits:4-12}")
_PART = re.compile(r"\{(?P<name>[a-z]+):(?P<least>\d{1,3})(?:-(?P<most>\d{1,3}))?\}|(?P<literal>[^{}]+)")
# A word that says so makes an id of what follows, if that has a digit.
_NAMED = re.compile(
    r"(?:\border(?:\s+(?:id|no|nr|number|code))?|订单(?:编?号|号码)?|单号)\s*(?:is|[:：#是为]|\.)?\s*#?"
    r"(?P<id>(?=[A-Za-z-]{0,12}[0-9])[A-Za-z0-9](?:[A-Za-z0-9-]{2,30})[A-Za-z0-9])(?![A-Za-z0-9])",
    re.IGNORECASE,
)


class PatternError(ValueError):
    """The message says what is wrong with a pattern, and what would be right."""


def find_orders(text: str, patterns: Sequence[str]) -> Iterator[Entity]:
    """Ids that meet one of the patterns (USUAL_PATTERNS where there is none), or follow a word for order."""
    for pattern in patterns or USUAL_PATTERNS:
        for found in read_pattern(pattern).finditer(text):
            yield _entity(text, found.start(), found.end())
    for found in _NAMED.finditer(text):
        yield _entity(text, found.start("id"), found.end("id"))


@lru_cache(maxsize=1_000)
def read_pattern(pattern: str) -> re.Pattern[str]:
    """Raises PatternError."""
    if not 1 <= len(pattern) <= 100:
        raise PatternError(f"a pattern has 1 to 100 characters, this one {len(pattern)}")
    made, place = "", 0
    while place < len(pattern):
        part = _PART.match(pattern, place)
        if part is None:
            raise PatternError(
                f"can not be read from '{pattern[place:]}' on; write text as it is and {{digits:6}}, {{letters:2-4}} "
                "or {any:8} for what changes"
            )
        made += re.escape(part["literal"]) if part["literal"] else _class(part)
        place = part.end()
    if "[" not in made:
        raise PatternError("holds nothing that changes; add {digits:6}, {letters:2-4} or {any:8}")
    return re.compile(f"(?<![A-Za-z0-9]){made}(?![A-Za-z0-9])", re.IGNORECASE)


def _class(part: re.Match[str]) -> str:
    name, least, most = part["name"], int(part["least"]), int(part["most"] or part["least"])
    if name not in CLASSES:
        raise PatternError(f"'{name}' is unknown; known are {', '.join(CLASSES)}")
    if not (least <= most <= MOST_REPEATS and most):
        raise PatternError(f"'{part[0]}' must name 1 to {MOST_REPEATS}, or a range such as 4-8")
    return f"[{CLASSES[name]}]{{{least},{most}}}"


def _entity(text: str, start: int, end: int) -> Entity:
    return Entity("order", text[start:end], start, end, {"id": text[start:end]})
