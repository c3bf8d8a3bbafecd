"""What comes in at the door as text: nothing that a person would not see, and a count of what was taken out.

An article is data: it is quoted and never obeyed. Text that no reader sees has one use alone, to speak to a machine
behind the reader's back, and so it goes.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

JOINER = "\u200d"
EMOJI_FORM = "\ufe0f"
NEWLINES = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Ranges are cheaper to look for than the category of each character is to ask for.
SUSPICIOUS = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\ue000-\uf8ff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
BIDI = {*"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
TAGS = range(0xE0000, 0xE1000)


@dataclass(frozen=True)
class Cleaned:
    """`stripped` counts what was taken out, by its kind."""

    text: str
    stripped: dict[str, int]


def clean_characters(text: str) -> Cleaned:
    """Without control, zero-width, direction and tag characters; line ends become newlines.

    What joins emoji and gives them their form stays.
    """
    text = NEWLINES.sub("\n", text)
    stripped: Counter[str] = Counter()

    def judge(match: re.Match[str]) -> str:
        if _belongs_to_emoji(text, match.start()):
            return match[0]
        stripped[_kind(match[0])] += 1
        return ""

    return Cleaned(SUSPICIOUS.sub(judge, text), dict(stripped))


def _belongs_to_emoji(text: str, place: int) -> bool:
    before = text[place - 1 : place]
    if text[place] == EMOJI_FORM:
        return unicodedata.category(before or "a") in ("So", "Sm", "Po", "Nd")
    after = text[place + 1 : place + 2]
    return text[place] == JOINER and _is_emoji(before) and _is_emoji(after)


def _is_emoji(character: str) -> bool:
    return character == EMOJI_FORM or unicodedata.category(character or "a") in ("So", "Sk")


def _kind(character: str) -> str:
    if character in BIDI:
        return "direction characters"
    if ord(character) in TAGS:
        return "tag characters"
    category = unicodedata.category(character)
    return "control characters" if category in ("Cc", "Cs", "Co", "Cn") else "zero-width characters"


def added(*counts: dict[str, int]) -> dict[str, int]:
    """Counts of several texts together."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)
