"""Words of queries and titles, so that both can be compared."""

import re
from collections.abc import Mapping
from functools import lru_cache

# Han, Hiragana, Katakana and Hangul are written without spaces: there, pairs of characters stand for words.
UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_PIECES = re.compile(rf"[{UNSPACED}]+|[^\W_{UNSPACED}]+")
_UNSPACED = re.compile(rf"[{UNSPACED}]")
# Shorter words end in s for other reasons than being plural.
SHORTEST_PLURAL = 4
# The same titles come again and again, some hundred in each search.
REMEMBERED = 16_384


@lru_cache(REMEMBERED)
def words(text: str) -> Mapping[str, str]:
    """The distinct words of a text in a form to compare, each with how it was written.

    Case and a plural's s make no difference; text without spaces is cut into pairs of characters.
    """
    found: dict[str, str] = {}
    for piece in _PIECES.findall(text):
        if _UNSPACED.match(piece):
            pairs = [piece[place : place + 2] for place in range(len(piece) - 1)] or [piece]
            found |= {pair: pair for pair in pairs if pair not in found}
            continue
        folded = piece.casefold()
        singular = folded[:-1] if len(folded) >= SHORTEST_PLURAL and folded.endswith("s") else folded
        found.setdefault(singular, piece)
    return found
