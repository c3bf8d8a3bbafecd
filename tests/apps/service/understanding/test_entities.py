"""What the rules find in a message, in English and Chinese, and that nothing makes them hang."""

import time
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.service.understanding.entities.amounts import find_amounts
from apps.service.understanding.entities.contacts import find_contacts
from apps.service.understanding.entities.dates import find_dates
from apps.service.understanding.entities.kinds import Entity, without_overlaps
from apps.service.understanding.entities.numerals import read_chinese
from apps.service.understanding.entities.orders import PatternError, find_orders, read_pattern
from apps.service.understanding.plain_text import plain_text

# A Thursday.
TODAY = date(2026, 11, 26)


def found(entities: list[Entity]) -> dict[str, dict[str, str]]:
    return {entity.text: entity.value for entity in without_overlaps(entities)}


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("it came on 2026-11-03", "2026-11-03"),
        ("13/11/2026", "2026-11-13"),
        ("11/13/26", "2026-11-13"),
        ("03.04.2026", "2026-04-03"),
        ("Nov 24th, 2025", "2025-11-24"),
        ("since the 24 of November", "2026-11-24"),
        ("May 5", "2026-05-05"),
        ("January 3", "2027-01-03"),
        ("yesterday", "2026-11-25"),
        ("the day before yesterday", "2026-11-24"),
        ("three days ago", "2026-11-23"),
        ("a couple of weeks ago", "2026-11-12"),
        ("in 2 months", "2027-01-26"),
        ("last Friday", "2026-11-20"),
        ("next thursday", "2026-12-03"),
        ("on Monday", "2026-11-23"),
        ("last week", "2026-11-19"),
        ("2026年11月3日", "2026-11-03"),
        ("11月5号", "2026-11-05"),
        ("三天前", "2026-11-23"),
        ("十二天后", "2026-12-08"),
        ("上周五", "2026-11-20"),
        ("下周一", "2026-11-30"),
        ("昨天", "2026-11-25"),
        ("两个月前", "2026-09-26"),
    ],
)
def test_a_date_is_the_day_that_is_meant(text: str, day: str) -> None:
    assert [entity.value["date"] for entity in without_overlaps(list(find_dates(text, TODAY)))] == [day]


@pytest.mark.parametrize("text", ["2026-13-40", "31/02/2026", "version 1.2.3", "marching 5", "Feb 30"])
def test_what_names_no_day_is_no_date(text: str) -> None:
    assert not list(find_dates(text, TODAY))


def test_the_end_of_a_month_is_its_last_day() -> None:
    (entity,) = find_dates("a month ago", date(2026, 3, 31))
    assert entity.value == {"date": "2026-02-28"}


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("I paid $1,234.50 twice", "1234.50", "USD"),
        ("20 euros", "20", "EUR"),
        ("€1.234,50", "1234.50", "EUR"),
        ("USD 30", "30", "USD"),
        ("12.99 pounds", "12.99", "GBP"),
        ("199元", "199", "CNY"),
        ("￥99.9", "99.9", "CNY"),
        ("三百二十元", "320", "CNY"),
        ("两万块", "20000", "CNY"),
        ("50美元", "50", "USD"),
    ],
)
def test_an_amount_has_its_number_and_currency(text: str, amount: str, currency: str) -> None:
    (value,) = found(list(find_amounts(text))).values()
    assert value == {"amount": amount, "currency": currency}
    assert Decimal(value["amount"]) >= 0


@pytest.mark.parametrize("text", ["20 cards", "I have 3 items", "call 5551234", "eurovision 20", "the 5 elements"])
def test_a_number_without_a_currency_is_no_amount(text: str) -> None:
    assert not list(find_amounts(text))


def test_order_ids_follow_the_usual_patterns_or_the_word_for_order() -> None:
    text = "order #W1234567, ORD-4471 and order number 113542617735902? 订单号：889123456。order 66"
    assert set(found(list(find_orders(text, ())))) == {"#W1234567", "ORD-4471", "113542617735902", "889123456"}


def test_a_tenants_patterns_replace_the_usual_ones() -> None:
    text = "X12/ab-9 and x99/cd-1 but not ORD-4471 nor X123/ab-9"
    assert set(found(list(find_orders(text, ["X{digits:2}/{letters:2}-{any:1}"])))) == {"X12/ab-9", "x99/cd-1"}


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("ORD", "nothing that changes"),
        ("{digit:3}", "'digit' is unknown"),
        ("{digits:0}", "1 to 40"),
        ("{digits:9-3}", "range"),
        ("{digits:99}", "1 to 40"),
        ("A{digits", "can not be read from '{digits'"),
        ("", "1 to 100 characters"),
        ("{any:0-40}" * 10, "'{any:0-40}' does not show where it ends"),
        ("{digits:1-9}{letters:0-1}{digits:1-9}", "'{digits:1-9}' does not show"),
        ("{any:1-9}{any:2}{digits:1-9}", "does not show"),
        ("{letters:1-9}a{letters:1-9}", "put text such as '-' behind it"),
    ],
)
def test_a_pattern_that_is_wrong_says_how_it_would_be_right(pattern: str, words: str) -> None:
    with pytest.raises(PatternError, match=words.replace("{", r"\{")):
        read_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "{letters:0-40}{digits:0-40}" + "-{letters:0-40}{digits:0-40}" * 2,
        "{letters:0-40}{digits:1-40}{letters:0-40}{digits:1-40}{letters:0-40}{any:40}",
        "{any:0-40}" + "{any:40}" * 11,
    ],
)
def test_no_pattern_that_is_taken_is_slow(pattern: str) -> None:
    started = time.process_time()
    for text in ("a" * 20_000, "a1" * 10_000, "a-" * 10_000, ("a" * 39 + "1" * 39) * 250, ("a" * 20 + "1-") * 900):
        list(find_orders(text, [pattern]))
    assert time.process_time() - started < 1.0


def test_a_stored_pattern_that_is_no_longer_taken_finds_nothing() -> None:
    assert set(found(list(find_orders("AB12 and order 4471-7", ["{any:0-40}" * 2])))) == {"4471-7"}


def test_contacts_are_found_without_the_marks_around_them() -> None:
    text = "Mail Bob.Smith@Example.co.uk, call +1 (555) 123-4567, 13812345678 or 010-12345678; see (https://a.example/b?c=1)."
    assert found(list(find_contacts(text))) == {
        "Bob.Smith@Example.co.uk": {"address": "bob.smith@example.co.uk"},
        "+1 (555) 123-4567": {"number": "+15551234567"},
        "13812345678": {"number": "13812345678"},
        "010-12345678": {"number": "01012345678"},
        "https://a.example/b?c=1": {"address": "https://a.example/b?c=1"},
    }


@given(st.integers(1, 99_999))
def test_chinese_numerals_are_read_as_they_are_written(number: int) -> None:
    assert read_chinese(_written(number)) == number


def _written(number: int) -> str:
    """An independent writer of numerals."""
    if number >= 10_000:
        rest = _written(number % 10_000) if number % 10_000 else ""
        gap = "零" if 0 < number % 10_000 < 1_000 else ""
        return f"{_written(number // 10_000)}万{gap}{rest}"
    text, zero = "", False
    for place, unit in ((1_000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, place)
        zero = zero or (not digit and bool(text))
        if digit:
            text += ("零" if zero else "") + "零一二三四五六七八九"[digit] + unit
            zero = False
    return text


@given(st.text(alphabet=st.sampled_from("<>/ab!-&;#x1 \n\ud800📦"), max_size=200))
def test_plain_text_leaves_every_character_where_it_stood(message: str) -> None:
    assert len(plain_text(message)) == len(message)
    plain_text(message).encode()


def test_markup_is_not_read_and_references_are() -> None:
    message = "<p>Hi &amp; hello</p><script>order #A1234</script><!-- $5 --> 2 < 3"
    assert " ".join(plain_text(message).split()) == "Hi & hello 2 < 3"


@given(st.text(max_size=300))
def test_places_hold_in_any_text(text: str) -> None:
    for entity in [*find_dates(text, TODAY), *find_amounts(text), *find_orders(text, ()), *find_contacts(text)]:
        assert text[entity.start : entity.end] == entity.text


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "1",
        "<a ",
        "a@",
        "a.a@",
        "1 ",
        "order ",
        "order" + " " * 20_000,
        "一",
        "http://",
        "+1 1 ",
        "A-1",
        "&",
        "<script>",
        "<!--",
        "$1,111,",
    ],
)
def test_no_text_makes_the_rules_slow(part: str) -> None:
    text = (part * 20_000)[:20_000]
    started = time.process_time()
    plain = plain_text(text)
    for read in (find_amounts, find_contacts):
        list(read(plain))
    list(find_dates(plain, TODAY))
    list(find_orders(plain, ()))
    assert time.process_time() - started < 1.0
