"""The language of a message: English, Chinese, or another one."""

import re

from apps.service.engine import script_language
from apps.service.understanding.lexicons import read_words

ENGLISH, CHINESE, OTHER = "en", "zh", "other"
# What each language says all the time; other: German, French, Spanish, Portuguese, Italian, Dutch.
ENGLISH_WORDS = read_words("common.en")
OTHER_WORDS = read_words("common.other")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)?")
# What comes after so many words changes nothing.
WORDS_READ = 200


def detect_language(text: str) -> str:
    """By script, and among languages in Latin letters by their common words; text without either sign counts as
    English where its letters are plain ASCII."""
    script = script_language(text)
    if script != ENGLISH:
        return script if script == CHINESE else OTHER
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)[:WORDS_READ]]
    english = sum(word in ENGLISH_WORDS for word in words)
    other = sum(word in OTHER_WORDS for word in words)
    # Letters with accents are rare in English.
    accented = sum(not word.isascii() for word in words)
    return ENGLISH if english >= other + accented else OTHER
