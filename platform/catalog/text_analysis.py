"""Words of a text, the same way for items and for queries: Latin and other spaced scripts by word, Chinese, Japanese
and Korean by overlapping pairs of characters.

PostgreSQL has no parser for scripts that write no spaces. Pairs of neighbouring characters (Nie et al., 2000, "On
the use of words and n-grams for Chinese information retrieval") need no dictionary.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

# Han with its extensions and compatibility forms, kana, Hangul.
CJK = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
TOKEN = re.compile(f"([{CJK}]+)|([^\\W_{CJK}]+)")
# What PostgreSQL indexes at most, in bytes, is 2,046; no word of a catalogue comes near.
LONGEST_WORD = 100


@dataclass(frozen=True)
class Analysed:
    """`words` in their order, folded in case, width and accents; `runs` of characters without spaces."""

    words: list[str]
    runs: list[str]


def analyse(text: str) -> Analysed:
    words, runs = [], []
    for run, word in TOKEN.findall(fold(text)):
        if run:
            runs.append(run)
        elif len(word) <= LONGEST_WORD:
            words.append(word)
    return Analysed(words, runs)


def fold(text: str) -> str:
    """Without differences of case, width and accent: 'Ｃａｆé' is 'cafe'."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(character for character in decomposed if not "\u0300" <= character <= "\u036f")
    return unicodedata.normalize("NFC", bare)


def indexed_pairs(run: str) -> list[str]:
    """Each pair of neighbours, and the last character alone: so that one character is found as the start of a term."""
    return [*pairs(run), run[-1]]


def pairs(run: str) -> list[str]:
    return [run[place : place + 2] for place in range(len(run) - 1)]


def is_mostly_cjk(text: str) -> bool:
    analysed = analyse(text)
    return sum(map(len, analysed.runs)) > sum(map(len, analysed.words))


def pairs_as_vector(runs: Sequence[str]) -> str:
    """The runs' terms with their positions, as PostgreSQL reads a tsvector; '' for none."""
    terms = [term for run in runs for term in indexed_pairs(run)]
    # PostgreSQL keeps no position beyond this one.
    return " ".join(f"'{term}':{min(place, 16_383)}" for place, term in enumerate(terms, start=1))


def edits(one: str, other: str, most: int) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours between two words (optimal string alignment;
    Damerau, 1964); `most + 1` stands for more than `most`."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, left in enumerate(one, start=1):
        current = [row]
        for column, right in enumerate(other, start=1):
            cost = min(above[column] + 1, current[column - 1] + 1, above[column - 1] + (left != right))
            if row > 1 and column > 1 and left == other[column - 2] and one[row - 2] == right:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, above = above, current
    return min(above[-1], most + 1)


def one_edit_away(word: str) -> set[str]:
    """All that an insertion, a deletion, a substitution or a swap of neighbours can make of a word (Norvig, 2007, "How
    to write a spelling corrector"), with the letters of the word and those from a to z."""
    letters = set(ascii_lowercase) | set(word)
    splits = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    made = {left + right[1:] for left, right in splits if right}
    made |= {left + right[1] + right[0] + right[2:] for left, right in splits if len(right) > 1}
    made |= {left + letter + right[1:] for left, right in splits if right for letter in letters}
    made |= {left + letter + right for left, right in splits for letter in letters}
    return made - {word}
