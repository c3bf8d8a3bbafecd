"""What a sentence states that can be checked: numbers with their units, dates, ids, addresses of pages and mailboxes.

Covered are digits of every script with the usual separators, percent, money by symbol, ISO code or 元, durations;
English number words; Chinese numerals before a unit or with 十, 百, 千, 万; dates in ISO, English and Chinese; days
named by word; ids of letters and digits. Not covered are Roman numerals, fractions in words and number words of other
languages.
"""

import re
from collections.abc import Iterable, Set
from decimal import Decimal
from typing import NamedTuple

from apps.service.replies.grounding.numerals import (
    CHINESE_NUMERAL,
    NUMBER_WORD,
    plain,
    value_of_chinese,
    value_of_digits,
    value_of_words,
)


class Claim(NamedTuple):
    """`kind` is number, date, day, id, url or email; `value` its normal form; `unit` of a number, or empty."""

    kind: str
    value: str
    unit: str = ""


MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_MONTH = "|".join(sorted([*MONTHS, *(month[:3] for month in MONTHS), "sept"], key=len, reverse=True))
_MONTH_NUMBERS = {name: number for number, month in enumerate(MONTHS, start=1) for name in (month, month[:3])}
_MONTH_NUMBERS["sept"] = 9
DAYS = (
    "today|tomorrow|tonight|yesterday|monday|tuesday|wednesday|thursday|friday|saturday|sunday|"
    "next week|this week|next month|this month"
)
CHINESE_DAYS = (
    "今天|明天|后天|今晚|昨天|下周|本周|下个月|本月|周[一二三四五六日天]|星期[一二三四五六日天]|礼拜[一二三四五六日天]"
)
UNITS = {
    # Before the day, which is 日 too.
    "JPY": "jpy|yen|日元|円",
    "%": "%|percent|per cent|％",
    "minute": "minutes?|mins?|分钟",
    "hour": "hours?|hrs?|个?小时|个?钟头",
    "workday": "(?:business|working) days?|workdays?|个?工作日",
    "day": "(?:calendar )?days?|天|日",
    "week": "weeks?|周|个?星期|个?礼拜",
    "month": "months?|个月",
    "year": "years?|年",
    "USD": "usd|us dollars?|dollars?|bucks?|美元|美金",
    "EUR": "eur|euros?|欧元",
    "GBP": "gbp|pounds?|英镑",
    "CNY": "cny|rmb|yuan|元|块钱?|人民币",
}
SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "CNY", "￥": "CNY"}
CODES = "aud|cad|chf|sek|nok|dkk|pln|czk|inr|krw|sgd|hkd|twd|thb|brl|mxn|zar|try|aed|nzd"
_UNIT = "|".join(f"(?:{words})" for words in UNITS.values())
_UNITS = [(re.compile(words, re.IGNORECASE), unit) for unit, words in UNITS.items()]
_DIGITS = r"\d+(?:[.,' ]\d{3}(?!\d))*(?:[.,]\d+)?"

URL = re.compile(r"(?:https?://|www\.)[^\s<>()\[\]\"'，。；！？、）】]+", re.IGNORECASE)
EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
# Endings that make a domain however they are written; others do in one case alone, since "items.Please" lacks a space.
_ENDINGS = (
    "com|net|org|io|ai|co|cn|de|uk|us|ca|au|nl|eu|fr|info|biz|shop|store|app|dev|ru|xyz|top|site|online|link|support|me|tv|"
    "example|test"
)
_FILES = "js|ts|py|md|pdf|txt|csv|docx?|xlsx?|png|jpe?g|gif|svg|zip|html?|json|xml|exe|mp[34]"
_DOTTED = re.compile(r"\.[^\s\d]|://|@|www\.", re.IGNORECASE)
_DOMAIN = re.compile(
    rf"(?<![A-Za-z0-9_@.-])(?:[A-Za-z0-9-]+\.)*(?:(?i:[a-z0-9-]+\.(?:{_ENDINGS}))"
    rf"|(?=[0-9-]*[A-Za-z])[A-Za-z0-9-]{{2,}}\.(?!(?:{_FILES})\b)(?:[a-z]{{2,}}|[A-Z]{{2,}}))"
    r"(?:/[^\s<>()\"'，。；]*)?(?![A-Za-z0-9_-])"
)
_ISO_DATE = re.compile(r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]\d{2}:\d{2}(?::\d{2})?\S*)?(?!\d)")
_CHINESE_DATE = re.compile(r"(?:(\d{4})\s*年\s*)?(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]")
_DAY_MONTH = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b\.?(?:,? (\d{{4}}))?(?!\d)", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}}))?(?!\d)", re.IGNORECASE)
_DAY_WORD = re.compile(rf"\b(?:{DAYS})\b|{CHINESE_DAYS}", re.IGNORECASE)
# Letters and digits together, or many digits in one piece: an order, a parcel, a telephone.
_ID = re.compile(
    r"(?<![\w.])#?(?=[A-Za-z0-9_-]{0,60}\d)(?=[A-Za-z0-9_-]{0,60}[A-Za-z])[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*(?![\w])"
    r"|(?<![\w.])\d+(?:[-_]\d+)+(?!\w)|#\d+|(?<![\w.,])\+?\d{7,}(?![\w,])"
)
_ORDINAL_OR_UNIT = re.compile(r"\d+(?:st|nd|rd|th|am|pm|x|h|hrs?|mins?|days?|d|k|usd|eur|gbp|cny|rmb)", re.IGNORECASE)
_RANGE = re.compile(r"\d+-\d+")
_NUMBER = re.compile(
    rf"(?P<symbol>[$€£¥￥]|\b(?:{CODES}|usd|eur|gbp|cny|rmb|jpy)\s)?\s{{0,5}}(?P<digits>{_DIGITS})\s{{0,5}}-?\s{{0,5}}"
    rf"(?:(?P<unit>{_UNIT}|[$€£]|\b(?:{CODES}))(?![a-z]))?",
    re.IGNORECASE,
)
_WORDS = re.compile(
    rf"\b(?P<words>(?:{NUMBER_WORD})(?:(?:[ -]| and )(?:{NUMBER_WORD}))*)\b[ -]?(?:(?P<unit>{_UNIT})(?![a-z]))?",
    re.IGNORECASE,
)
_CHINESE = re.compile(rf"(?P<numeral>{CHINESE_NUMERAL}+)\s*(?P<unit>{_UNIT}|折|成|倍|件|次|个(?![小钟月星礼工])|张)?")
# Words that say a number only beside a unit: "one of our agents" states none.
_SOFT_WORDS = {"one", "half", "zero", "two", "second"}


def claims_of(text: str) -> frozenset[Claim]:
    """Everything in `text` that can be checked."""
    found: set[Claim] = set()
    rest = plain(text)
    # Most texts name no address, and looking for one takes longer than seeing that.
    addresses = ((EMAIL, "email"), (URL, "url"), (_DOMAIN, "url")) if _DOTTED.search(rest) else ()
    for pattern, kind in addresses:
        rest = _take(pattern, rest, lambda match, kind=kind: {_address(kind, match[0])}, found)
    rest = _take(_ISO_DATE, rest, lambda m: {_date(m[1], m[2], m[3])}, found)
    rest = _take(_CHINESE_DATE, rest, lambda m: {_date(m[1], m[2], m[3])}, found)
    rest = _take(_DAY_MONTH, rest, lambda m: {_date(m[3], _month(m[2]), m[1])}, found)
    rest = _take(_MONTH_DAY, rest, lambda m: {_date(m[3], _month(m[1]), m[2])}, found)
    rest = _take(_DAY_WORD, rest, lambda m: {Claim("day", m[0].lower())}, found)
    rest = _take(_ID, rest, _id, found)
    rest = _take(_NUMBER, rest, lambda m: {_number(m)}, found)
    rest = _take(_WORDS, rest, _words, found)
    _take(_CHINESE, rest, _chinese, found)
    return frozenset(found)


def _take(pattern: re.Pattern[str], text: str, read: object, found: set[Claim]) -> str:
    """Add what `pattern` finds to `found`; the text without it, so that no part is read twice."""
    assert callable(read)

    def replace(match: re.Match[str]) -> str:
        claims = read(match)
        if claims is None:
            return match[0]
        found.update(claims)
        return " \u0001 "

    return pattern.sub(replace, text)


def _address(kind: str, raw: str) -> Claim:
    address = raw.rstrip(".,;:!?'\"").lower()
    return Claim(kind, address.removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/"))


def _date(year: str | None, month: str | int, day: str) -> Claim:
    return Claim("date", f"{int(year) if year else '*'}-{int(month)}-{int(day)}")


def _month(word: str) -> int:
    return _MONTH_NUMBERS[word.lower()]


def _id(match: re.Match[str]) -> set[Claim] | None:
    token = match[0]
    if _ORDINAL_OR_UNIT.fullmatch(token) or _RANGE.fullmatch(token):
        return None
    if re.fullmatch(r"\d+-[A-Za-z]+", token) and _unit(token.partition("-")[2]):
        return None
    return {Claim("id", token.lstrip("#+").lower())}


def _number(match: re.Match[str]) -> Claim:
    symbol = (match["symbol"] or "").strip()
    unit = _unit(symbol) or _unit(match["unit"] or "")
    return Claim("number", _shown(value_of_digits(match["digits"])), unit)


def _words(match: re.Match[str]) -> set[Claim] | None:
    words = [word for word in re.split(r"[ -]", match["words"].lower()) if word != "and"]
    unit = _unit(match["unit"] or "")
    if not unit and len(words) == 1 and words[0] in _SOFT_WORDS:
        return None
    return {Claim("number", _shown(value_of_words(words)), unit)}


def _chinese(match: re.Match[str]) -> set[Claim] | None:
    numeral, unit = match["numeral"], match["unit"]
    # 一 and its like are part of many words: 一下, 万一, 唯一.
    if unit is None and (len(numeral) == 1 or not re.search("[十百千拾佰仟]", numeral)):
        return None
    if unit in ("个", "件", "次", "张") and numeral in ("一", "半"):
        return None
    return {Claim("number", _shown(value_of_chinese(numeral)), _unit(unit or "") or (unit or ""))}


def _unit(word: str) -> str:
    if not word:
        return ""
    if word in SYMBOLS:
        return SYMBOLS[word]
    lower = word.lower().strip()
    if re.fullmatch(CODES, lower):
        return lower.upper()
    return next((unit for pattern, unit in _UNITS if pattern.fullmatch(lower)), "")


def _shown(value: Decimal) -> str:
    return format(value.normalize(), "f")


def unsupported(claims: Iterable[Claim], known: Set[Claim]) -> list[Claim]:
    """Claims that nothing known backs, in a stable order.

    A number with a unit needs the same unit; without one any number of its value backs it. A date without a year is
    backed by that day of any year. A number is also backed by an id of the same digits.
    """
    numbers = {claim.value for claim in known if claim.kind == "number"}
    ids = {claim.value for claim in known if claim.kind == "id"}
    days = {claim.value.partition("-")[2] for claim in known if claim.kind == "date"}

    def is_backed(claim: Claim) -> bool:
        if claim in known:
            return True
        if claim.kind == "number":
            return not claim.unit and (claim.value in numbers or claim.value in ids)
        if claim.kind == "id":
            return claim.value in numbers
        if claim.kind == "date":
            year, _, day = claim.value.partition("-")
            return year == "*" and day in days
        return False

    return sorted(claim for claim in claims if not is_backed(claim))
