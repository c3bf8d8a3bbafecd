"""E-mail addresses, telephone numbers and URLs."""

import re
from collections.abc import Iterator

from apps.service.understanding.entities.kinds import Entity

_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"
)
_URL = re.compile(r"(?:https?://|www\.)[A-Za-z0-9][^\s<>\"'，。；！？、（）【】]{1,2000}", re.IGNORECASE)
# With a country's code, in groups, or as Chinese mobile phones are written.
_PHONE = re.compile(
    r"(?<![\w+.-])(?:"
    r"\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){1,4}"
    r"|\(\d{2,4}\)[ .-]?\d{3,4}[ .-]?\d{3,4}"
    r"|\d{3}[ .-]\d{3}[ .-]\d{4}"
    r"|0\d{2,3}-\d{7,8}"
    r"|1[3-9]\d{9}"
    r")(?![\w-])"
)
LEAST_DIGITS, MOST_DIGITS = 7, 15
# These end a sentence and not an address.
_TRAILING = ".,;:!?)]}"


def find_contacts(text: str) -> Iterator[Entity]:
    for found in _URL.finditer(text):
        shown = found[0].rstrip(_TRAILING)
        yield Entity("url", shown, found.start(), found.start() + len(shown), {"address": shown})
    if "@" in text:
        for found in _EMAIL.finditer(text):
            yield Entity("email", found[0], found.start(), found.end(), {"address": found[0].lower()})
    for found in _PHONE.finditer(text):
        number = re.sub(r"[^\d+]", "", found[0])
        if LEAST_DIGITS <= len(number.lstrip("+")) <= MOST_DIGITS:
            yield Entity("phone", found[0], found.start(), found.end(), {"number": number})
