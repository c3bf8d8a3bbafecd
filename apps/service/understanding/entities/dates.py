"""Dates, written out or told from today: 24 Nov 2026, 3 days ago, 上周五."""

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from apps.service.understanding.entities.kinds import Entity
from apps.service.understanding.entities.numerals import CHINESE_NUMERALS, read_chinese

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
CHINESE_WEEKDAYS = {name: number for number, name in enumerate("一二三四五六日")} | {"天": 6}
NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
}
NUMBER_WORDS |= {"a": 1, "an": 1, "a couple of": 2, "couple of": 2}
NEAR_DAYS = {
    "day before yesterday": -2,
    "yesterday": -1,
    "today": 0,
    "tonight": 0,
    "tomorrow": 1,
    "day after tomorrow": 2,
}
NEAR_DAYS |= {"大前天": -3, "前天": -2, "昨天": -1, "昨晚": -1, "今天": 0, "今晚": 0, "明天": 1, "后天": 2, "大后天": 3}
AHEAD = timedelta(days=60)
UNIT_DAYS = {"day": 1, "week": 7, "天": 1, "日": 1, "周": 7, "星期": 7, "礼拜": 7}
UNIT_MONTHS = {"month": 1, "year": 12, "个月": 1, "月": 1, "年": 12}

_MONTH = (
    r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
    r"(?:(?<=jan)uary|(?<=feb)ruary|(?<=mar)ch|(?<=apr)il|(?<=jun)e|(?<=jul)y|(?<=aug)ust|(?<=sep)t(?:ember)?"
    r"|(?<=oct)ober|(?<=nov)ember|(?<=dec)ember|\b)\.?"
)
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_COUNT = rf"(?P<count>\d{{1,3}}|{'|'.join(sorted(NUMBER_WORDS, key=len, reverse=True))})"
_UNIT = r"(?P<unit>day|week|month|year)s?"
_CHINESE_COUNT = rf"(?P<count>\d{{1,3}}|[{CHINESE_NUMERALS}]{{1,5}})"
_CHINESE_UNIT = r"(?P<unit>天|日|周|星期|礼拜|个月|年)"


def find_dates(text: str, today: date) -> Iterator[Entity]:
    """What names no day that exists is left out. Without a year the last such day is meant, or the next one where that
    is at most AHEAD away, since customers tell of what happened or is about to."""
    for pattern, read in READERS:
        for found in pattern.finditer(text):
            try:
                day = read(found, today)
            except (ValueError, OverflowError):
                continue
            yield Entity("date", found[0], found.start(), found.end(), {"date": day.isoformat()})


def _full(found: re.Match[str], today: date) -> date:
    return date(int(found["year"]), int(found["month"]), int(found["day"]))


def _slashed(found: re.Match[str], today: date) -> date:
    """Day first, as most of the world writes, unless only the other order is a date."""
    year = int(found["year"]) + (2000 if len(found["year"]) == 2 else 0)
    first, second = int(found["first"]), int(found["second"])
    return date(year, first, second) if second > 12 else date(year, second, first)


def _named_month(found: re.Match[str], today: date) -> date:
    month, day = MONTHS.index(found["month"].lower()) + 1, int(found["day"])
    return date(int(found["year"]), month, day) if found["year"] else _nearest(month, day, today)


def _chinese_day(found: re.Match[str], today: date) -> date:
    return _nearest(int(found["month"]), int(found["day"]), today)


def _nearest(month: int, day: int, today: date) -> date:
    years = range(today.year - 8, today.year + 2)
    return max(
        day for day in (date(year, month, day) for year in years if _exists(year, month, day)) if day <= today + AHEAD
    )


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _near(found: re.Match[str], today: date) -> date:
    return today + timedelta(days=NEAR_DAYS[" ".join(found[0].lower().split())])


def _shifted(found: re.Match[str], today: date) -> date:
    """So many days, weeks, months or years from today; back unless the words say ahead."""
    counted = found["count"].lower()
    if counted.isdigit():
        count = int(counted)
    else:
        count = NUMBER_WORDS[counted] if counted in NUMBER_WORDS else read_chinese(counted)
    sign = 1 if found.groupdict().get("ahead") else -1
    unit = found["unit"].lower()
    if unit in UNIT_DAYS:
        return today + timedelta(days=sign * count * UNIT_DAYS[unit])
    return _months_away(today, sign * count * UNIT_MONTHS[unit])


def _months_away(today: date, months: int) -> date:
    """The same day of another month, or its last one."""
    year, month = divmod(today.year * 12 + today.month - 1 + months, 12)
    day = today.day
    while not _exists(year, month + 1, day):
        day -= 1
        if day < 1:
            raise ValueError(f"there is no year {year}")
    return date(year, month + 1, day)


def _weekday(found: re.Match[str], today: date) -> date:
    """'last Friday' lies before today and 'next Friday' after; a bare one is the last, since customers tell of what
    happened."""
    wanted = WEEKDAYS.index(found["weekday"][:3].lower())
    which = (found["which"] or "").lower()
    if which in ("", "last", "on"):
        return today - timedelta(days=(today.weekday() - wanted - 1) % 7 + 1)
    if which == "this":
        return today + timedelta(days=wanted - today.weekday())
    return today + timedelta(days=(wanted - today.weekday() - 1) % 7 + 1)


def _chinese_weekday(found: re.Match[str], today: date) -> date:
    """上周五 is the Friday of the week before this one, 下周五 that of the week after."""
    which = found["which"] or ""
    weeks = which.count("下") - which.count("上")
    return today + timedelta(days=7 * weeks + CHINESE_WEEKDAYS[found["weekday"]] - today.weekday())


def _whole_period(found: re.Match[str], today: date) -> date:
    """'last week' is seven days ago, 'next month' the same day of the next month."""
    sign = 1 if found["which"].lower() in ("next", "下", "下个") else -1
    unit = found["unit"].lower()
    return today + timedelta(days=7 * sign) if unit in UNIT_DAYS else _months_away(today, sign * UNIT_MONTHS[unit])


Read = Callable[[re.Match[str], date], date]
_I = re.IGNORECASE
# In this order: what comes first is kept where two overlap.
READERS: list[tuple[re.Pattern[str], Read]] = [
    (re.compile(rf"(?<!\d){_YEAR}(?P<mark>[-/.])(?P<month>\d{{1,2}})(?P=mark)(?P<day>\d{{1,2}})(?!\d)"), _full),
    (re.compile(rf"(?<!\d){_YEAR}年(?P<month>\d{{1,2}})月(?P<day>\d{{1,2}})[日号]?"), _full),
    (
        re.compile(
            r"(?<![\d/.-])(?P<first>\d{1,2})(?P<mark>[/.-])(?P<second>\d{1,2})(?P=mark)(?P<year>(?:20)?\d\d)(?![\d/.-])"
        ),
        _slashed,
    ),
    (re.compile(rf"\b{_MONTH} {{0,2}}{_DAY}(?:,? {{0,2}}{_YEAR})?\b", _I), _named_month),
    (re.compile(rf"\b{_DAY}(?: of)? {{0,2}}{_MONTH}(?:,? {{0,2}}{_YEAR})?\b", _I), _named_month),
    (re.compile(r"(?<![\d年])(?P<month>\d{1,2})月(?P<day>\d{1,2})[日号]"), _chinese_day),
    (re.compile(rf"\b{_COUNT} {{1,2}}{_UNIT} (?:ago|earlier|back)\b", _I), _shifted),
    (re.compile(rf"\b(?P<ahead>in|within) {_COUNT} {{1,2}}{_UNIT}\b", _I), _shifted),
    (re.compile(rf"{_CHINESE_COUNT}个?{_CHINESE_UNIT}(?:之|以)?前"), _shifted),
    (re.compile(rf"{_CHINESE_COUNT}个?{_CHINESE_UNIT}(?P<ahead>(?:之|以)?后)"), _shifted),
    (
        re.compile(
            r"\b(?:the )?(?:(?P<which>last|this|next|on) )?(?P<weekday>(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b",
            _I,
        ),
        _weekday,
    ),
    (
        re.compile(r"(?P<which>上上|下下|上|下|这|本)?个?(?:周|星期|礼拜)(?P<weekday>[一二三四五六日天])"),
        _chinese_weekday,
    ),
    (
        re.compile(
            "|".join(
                [
                    *(rf"\b{name.replace(' ', ' {1,3}')}\b" for name in NEAR_DAYS if name.isascii()),
                    *sorted((name for name in NEAR_DAYS if not name.isascii()), key=len, reverse=True),
                ]
            ),
            _I,
        ),
        _near,
    ),
    (re.compile(r"\b(?P<which>last|next) (?P<unit>week|month|year)\b", _I), _whole_period),
    (re.compile(r"(?P<which>上个?|下个?)(?P<unit>周|星期|礼拜|月)(?![一二三四五六日天])"), _whole_period),
]
