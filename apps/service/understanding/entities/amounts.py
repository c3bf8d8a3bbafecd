"""Amounts of money with their currency."""

import re
from collections.abc import Iterator

from apps.service.understanding.entities.kinds import Entity
from apps.service.understanding.entities.numerals import CHINESE_NUMERALS, read_chinese

SYMBOLS = {
    "US$": "USD",
    "C$": "CAD",
    "A$": "AUD",
    "HK$": "HKD",
    "$": "USD",
    "€": "EUR",
    "£": "GBP",
    "₹": "INR",
    "₩": "KRW",
    "￥": "CNY",
    "¥": "CNY",
}
WORDS = {
    "USD": r"usd|us dollars?|dollars?|bucks|美元|美金",
    "EUR": r"eur|euros?|欧元",
    "GBP": r"gbp|pounds?(?: sterling)?|quid|英镑",
    "CNY": r"cny|rmb|yuan|元|块钱?|人民币",
    "JPY": r"jpy|yen|日元",
    "HKD": r"hkd|港币|港元",
    "INR": r"inr|rupees?",
    "CHF": r"chf|francs?",
    "CAD": r"cad",
    "AUD": r"aud",
}
_NUMBER = r"\d{1,3}(?:[,.']\d{3})+(?:[.,]\d{1,2})?|\d{1,12}(?:[.,]\d{1,2})?"
_SYMBOL = "|".join(re.escape(symbol) for symbol in sorted(SYMBOLS, key=len, reverse=True))
_CODE = "|".join(WORDS)
_AFTER = "|".join(f"(?P<{code}>{words})" for code, words in WORDS.items())
_BEFORE = re.compile(rf"(?<![\w.,])(?:(?P<symbol>{_SYMBOL})|(?P<code>{_CODE}) ?)\s?(?P<number>{_NUMBER})(?![\d])", re.I)
_BEHIND = re.compile(
    rf"(?<![\d.,A-Za-z])(?P<number>{_NUMBER}|[{CHINESE_NUMERALS}]{{1,12}})\s?(?:(?P<symbol>{_SYMBOL})|{_AFTER})(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def find_amounts(text: str) -> Iterator[Entity]:
    for found in _BEFORE.finditer(text):
        currency = SYMBOLS[found["symbol"].upper()] if found["symbol"] else found["code"].upper()
        yield _entity(found, currency)
    for found in _BEHIND.finditer(text):
        currency = SYMBOLS[found["symbol"].upper()] if found["symbol"] else next(c for c in WORDS if found[c])
        yield _entity(found, currency)


def _entity(found: re.Match[str], currency: str) -> Entity:
    value = {"amount": read_amount(found["number"]), "currency": currency}
    return Entity("amount", found[0], found.start(), found.end(), value)


def read_amount(number: str) -> str:
    """A decimal in text: of '1,234.50' and '1.234,50' the last separator is the decimal one, unless three
    digits follow it."""
    if number[0] in CHINESE_NUMERALS:
        return str(read_chinese(number))
    whole, separator, cents = re.fullmatch(r"(.*?)(?:([.,])(\d{1,2}))?", number).groups()  # type: ignore[union-attr]
    digits = re.sub(r"\D", "", whole)
    return f"{int(digits)}.{cents}" if separator else str(int(digits))
