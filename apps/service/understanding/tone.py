"""How a customer sounds: sentiment and urgency, by a small lexicon in English and Chinese, capitals and marks.

A lexicon and nothing more: it knows neither irony nor what went wrong. Its quality is measured in
tests/apps/service/understanding/test_tone.py on texts written for it.
"""

import re
from typing import Literal

from apps.service.understanding.lexicons import read_words

Sentiment = Literal["negative", "neutral", "positive"]
Urgency = Literal["normal", "high"]

NEGATIVE = read_words("negative.en")
POSITIVE = read_words("positive.en")
NEGATIONS = read_words("negations.en")
NEGATIVE_CHINESE = read_words("negative.zh")
POSITIVE_CHINESE = read_words("positive.zh")
NEGATIONS_CHINESE = tuple(read_words("negations.zh"))
URGENT = re.compile(
    r"\b(?:urgent(?:ly)?|asap|as soon as possible|immediately|right (?:now|away)|at once|emergency|hurry|straight away|"
    r"this instant|time[- ]sensitive|critical|today|tonight|within the hour|can(?:'|no)?t wait|stolen|hacked|"
    r"compromised|unauthori[sz]ed|deadline|fraudulent|stuck abroad|locked out)\b"
    r"|紧急|马上|立刻|立即|赶紧|尽快|急用|很急|着急|急死|加急|赶快|快点|现在就|今天(?:就|必须|之?内)|被盗|盗刷|等不了|等不及",
    re.IGNORECASE,
)
NOT_URGENT = re.compile(
    r"\b(?:no rush|no hurry|not urgent|take your time|whenever you can)\b|不急|不着急|不用急|慢慢来", re.IGNORECASE
)
_WORD = re.compile(r"[a-z]+(?:['’][a-z]+)?", re.IGNORECASE)
HAPPY, UNHAPPY = re.compile("[😀-😊😍🥰😘👍❤🎉🙏💯😁]"), re.compile("[😠😡🤬😤😭😢😞😒👎💔🤮😩]")
# A word so many places before turns what follows round.
NEGATION_REACH = 3
# Marks and capitals from which a message is loud.
LOUD_MARKS = re.compile(r"[!！]{2,}|[!?！？]{3,}")
LOUD_SHARE, LOUD_LETTERS = 0.7, 12
WORDS_READ = 500
CHARACTERS_READ = 2_000


def sentiment_of(text: str) -> Sentiment:
    """The side that has more words; a tie of some is negative, since praise before a complaint is a courtesy."""
    text = text[:CHARACTERS_READ]
    negative, positive = _english(text)
    also_negative, also_positive = _chinese(text)
    negative += also_negative + len(UNHAPPY.findall(text))
    positive += also_positive + len(HAPPY.findall(text))
    if negative == positive == 0:
        return "neutral"
    return "positive" if positive > negative else "negative"


def urgency_of(text: str) -> Urgency:
    """High where the words say so, or where an unhappy message is loud besides."""
    text = text[:CHARACTERS_READ]
    if NOT_URGENT.search(text):
        return "normal"
    if URGENT.search(text):
        return "high"
    return "high" if is_loud(text) and sentiment_of(text) == "negative" else "normal"


def is_loud(text: str) -> bool:
    """Written in capitals, or with several exclamation marks in a row."""
    letters = [letter for letter in text if letter.isascii() and letter.isalpha()]
    capitals = sum(letter.isupper() for letter in letters)
    return bool(LOUD_MARKS.search(text)) or (len(letters) >= LOUD_LETTERS and capitals >= LOUD_SHARE * len(letters))


def _english(text: str) -> tuple[int, int]:
    negative = positive = 0
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)[:WORDS_READ]]
    for place, word in enumerate(words):
        turned = any(each in NEGATIONS for each in words[max(0, place - NEGATION_REACH) : place])
        if word in NEGATIVE:
            negative += not turned
        elif word in POSITIVE:
            negative, positive = negative + turned, positive + (not turned)
    return negative, positive


def _chinese(text: str) -> tuple[int, int]:
    negative = sum(text.count(word) for word in NEGATIVE_CHINESE)
    positive = 0
    for word in POSITIVE_CHINESE:
        for found in re.finditer(word, text):
            if text[: found.start()].endswith(NEGATIONS_CHINESE):
                negative += 1
            else:
                positive += 1
    return negative, positive
