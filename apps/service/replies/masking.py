"""Personal data stays in the house: it is masked before a text goes to a model outside, and put back afterwards."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from apps.service.replies.grounding.wording import words_of

_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_CHINESE_ID = re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)")
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,5}\)[ .-]?)?\d{2,5}(?:[ .-]?\d{2,4}){2,4}(?![A-Za-z0-9_-])"
)
_STREET = re.compile(
    r"\b\d{1,5}[a-z]?,? (?:[A-Z][\w'.-]+ ){1,4}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Way|"
    r"Court|Ct|Square|Sq|Place|Pl|Terrace)\b\.?(?:,? (?:Apt|Flat|Suite|Unit) ?\w+)?(?:, [A-Z][\w' -]+)?"
    r"|\b[A-ZÄÖÜ][\wäöüß-]+(?:straße|strasse|str\.|weg|platz|allee|gasse) \d{1,4}[a-z]?"
)
_CHINESE_ADDRESS = re.compile(
    r"[\u4e00-\u9fff]{2,12}(?:省|市|区|县)[\u4e00-\u9fff\d]{1,20}(?:路|街|道|巷|弄)[\u4e00-\u9fff\d-]{0,10}号?"
    r"(?:[\d\u4e00-\u9fff-]{1,10}(?:室|楼|单元|栋))?"
)
_NAME = re.compile(
    r"(?:\b[Mm]y name is|\b[Tt]his is|\bI am|\bI'm|\b(?:Mr|Mrs|Ms|Dr)\.?|(?:[Rr]egards|[Ss]incerely|[Cc]heers|"
    r"[Tt]hanks),?\n)\s*(?P<name>[A-Z][\w'-]+(?: [A-Z][\w'-]+){0,2})"
)
_CHINESE_NAME = re.compile(r"(?:我叫|我是|姓名[：:]?|收件人[：:]?)\s*(?P<name>[\u4e00-\u9fff]{2,4})(?=[，。,.\s]|$)")
_MARK = re.compile(r"\[([A-Z]+_\d+)\]")
_FEWEST_PHONE_DIGITS = 8
SHORTEST_PRIVATE = 2


def _is_card(text: str) -> bool:
    """By Luhn's check digit, which order numbers seldom meet."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_phone(text: str) -> bool:
    # A bare row of digits is rather an order's number; a telephone has a + or is written in groups.
    if re.fullmatch(r"\d{4}[-.]\d{1,2}[-.]\d{1,2}", text):
        return False
    grouped = text.startswith("+") or bool(re.search(r"\d[ .()-]+\d", text)) or bool(re.fullmatch(r"1\d{10}", text))
    return grouped and sum(each.isdigit() for each in text) >= _FEWEST_PHONE_DIGITS


# In this order: what is found first is not looked at again.
_PATTERNS: list[tuple[str, re.Pattern[str], Callable[[str], bool]]] = [
    ("EMAIL", _EMAIL, lambda text: True),
    ("IBAN", _IBAN, lambda text: True),
    ("IDENTITY", _CHINESE_ID, lambda text: True),
    ("CARD", _CARD, _is_card),
    ("ADDRESS", _STREET, lambda text: True),
    ("ADDRESS", _CHINESE_ADDRESS, lambda text: True),
    ("PHONE", _PHONE, _is_phone),
]


@dataclass
class Mask:
    """Hides personal data of several texts of one conversation; the same value has the same mark in all of them.

    `private` are what is known of the customer, as (kind, value): hidden in small letters and capitals, except for
    a name such as Will, which is a common word too. `names` are hidden as they are written.
    """

    names: Iterable[str] = ()
    private: Iterable[tuple[str, str]] = ()
    _values: dict[str, str] = field(default_factory=dict)  # mark -> value

    def hide(self, text: str) -> str:
        """The text with marks such as [EMAIL_1]. Marks that the text itself writes lose their brackets, so that nobody
        can have another's data put in."""
        text = _MARK.sub(r"(\1)", text)
        for kind, value in sorted(self.private, key=lambda each: -len(each[1])):
            if len(value) >= SHORTEST_PRIVATE:
                flags = re.IGNORECASE if words_of(value) else 0
                text = re.sub(_whole(value), lambda found, kind=kind: self._mark(kind, found[0]), text, flags=flags)
        for kind, pattern, is_one in _PATTERNS:
            text = self._hide(text, kind, pattern, is_one)
        for name in sorted({*self.names, *names_in(text)}, key=len, reverse=True):
            text = re.sub(_whole(name), self._mark("NAME", name), text)
        return text

    def _hide(self, text: str, kind: str, pattern: re.Pattern[str], is_one: Callable[[str], bool]) -> str:
        return pattern.sub(lambda found: self._mark(kind, found[0]) if is_one(found[0]) else found[0], text)

    def show(self, text: str) -> str:
        """The text with the values behind its marks; a mark that was never made stays."""
        return _MARK.sub(lambda match: self._values.get(match[0], match[0]), text)

    def _mark(self, kind: str, value: str) -> str:
        for mark, known in self._values.items():
            if known == value and mark.startswith(f"[{kind}_"):
                return mark
        mark = f"[{kind}_{sum(each.startswith(f'[{kind}_') for each in self._values) + 1}]"
        self._values[mark] = value
        return mark


def _whole(value: str) -> str:
    return rf"(?<!\w){re.escape(value)}(?!\w)" if value.isascii() else re.escape(value)


def marks_in(text: str) -> tuple[str, ...]:
    """Marks that stand in a text for what was masked, without their brackets, each once."""
    return tuple(dict.fromkeys(_MARK.findall(text)))


def names_in(text: str) -> set[str]:
    """Names that people give themselves: "my name is ...", "我叫...", below a closing."""
    return {match["name"] for pattern in (_NAME, _CHINESE_NAME) for match in pattern.finditer(text)}
