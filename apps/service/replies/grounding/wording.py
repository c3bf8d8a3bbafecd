"""Words of a text, for asking how much of one text another one says. English words and Chinese character pairs."""

import re
from collections.abc import Set
from functools import lru_cache

from apps.service.replies.grounding.numerals import plain

_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]+(?:'[^\W\d_]+)?|\d+|[\u3400-\u9fff]+")
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？；])|\n+")
_CLAUSE = re.compile(r"[,;:，；：]\s*|\b(?:but|unless|however|because)\b|但是?|不过|因为")
_NEGATION = re.compile(
    r"^nor\b|\b(?:never|without|none|neither|nobody|nothing)\b|(?<=\bcan)not\b|n't\b"
    r"|(?<!\bor )\bnot\b(?! only\b)"
    r"|\bno\b(?! (?:later|more|less|fewer) than\b| problem\b|\.? ?#?\d)"
    r"|不(?![仅但只同错少断久]|超过|迟于|晚于|客气)|没(?!问题)|无(?!论)|未(?!来)|非(?!常)"
)
# Of these a sentence may have any number, whatever its source says.
_COMMON = frozenset(
    re.findall(
        r"\S+",
        """a an and are as at be been but by can could did do does for from had has have he her him his how i if in into
        is it its just me my no not of on or our she should so some that the their them then there these they this those
        to too us very was we were what when where which who will with would you your yours please hello hi dear
        thank thanks am any all also i'm i've it's you're we're we'll i'd""",
    )
)


def sentences_of(text: str) -> list[str]:
    """Sentences in their order; a line ends one too."""
    return [part for piece in _SENTENCE.split(text) if (part := piece.strip())]


def clauses_of(text: str) -> list[str]:
    """Parts of a text that state something by themselves, more or less."""
    return [part for sentence in sentences_of(text) for piece in _CLAUSE.split(sentence) if (part := piece.strip())]


def without_negation(clause: str) -> tuple[str, bool]:
    """What a clause speaks of, and whether it denies that: "not", 不 and their like, of which two cancel each other."""
    rest, negations = _NEGATION.subn(" ", plain(clause).lower())
    return rest, negations % 2 == 1


@lru_cache(maxsize=1_000)
def words_of(text: str) -> frozenset[str]:
    """Content words in lower case, a plural as its singular; of Chinese the pairs of neighbouring characters."""
    found: set[str] = set()
    for word in _WORD.findall(plain(text).lower()):
        if "\u3400" <= word[0] <= "\u9fff":
            found.update(word[at : at + 2] for at in range(max(1, len(word) - 1)))
        elif word not in _COMMON:
            found.add(_stem(word))
    return frozenset(found)


@lru_cache(maxsize=10_000)
def _stem(word: str) -> str:
    """Enough for "returns", "returned" and "return" to meet."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def coverage(words: Set[str], source: Set[str]) -> float:
    """Share of `words` that `source` holds, 0 to 1; 0 where there are no words."""
    return len(words & source) / len(words) if words else 0.0
