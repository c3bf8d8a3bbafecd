"""What a sentence states, in its normal form; and what backs it."""

import re
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.service.replies.grounding.claims import Claim, claims_of, unsupported
from apps.service.replies.masking import Mask


@pytest.mark.parametrize("part", ["_", "a", "-", "a-", "\n", "5 ", "@", "a@", "a.", "www."])
def test_no_text_takes_long_to_read_or_to_mask(part: str) -> None:
    text, started = part * (10_000 // len(part)), time.process_time()
    claims_of(text)
    Mask().hide(text)
    assert time.process_time() - started < 0.5


def states(text: str) -> set[tuple[str, ...]]:
    return {tuple(part for part in claim if part) for claim in claims_of(text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs 1,299.00 EUR.", {("number", "1299", "EUR")}),
        ("It costs 1.299,00 €.", {("number", "1299", "EUR")}),
        ("It costs EUR 1299.", {("number", "1299", "EUR")}),
        ("It costs €1299", {("number", "1299", "EUR")}),
        ("1 299,00 EUR", {("number", "1299", "EUR")}),
        ("￥１２９９", {("number", "1299", "CNY")}),
        ("1299元", {("number", "1299", "CNY")}),
        ("一千二百九十九元", {("number", "1299", "CNY")}),
        ("12,50", {("number", "12.5")}),
        ("0.990", {("number", "0.99")}),
        ("within 14 days", {("number", "14", "day")}),
        ("a 14-day return", {("number", "14", "day")}),
        ("fourteen days", {("number", "14", "day")}),
        ("十四天", {("number", "14", "day")}),
        ("14 business days", {("number", "14", "workday")}),
        ("14个工作日", {("number", "14", "workday")}),
        ("两周", {("number", "2", "week")}),
        ("two hundred and five percent", {("number", "205", "%")}),
        ("10 % off", {("number", "10", "%")}),
        ("2026-11-30", {("date", "2026-11-30")}),
        ("30 November 2026", {("date", "2026-11-30")}),
        ("Nov 30th, 2026", {("date", "2026-11-30")}),
        ("2026年11月30日", {("date", "2026-11-30")}),
        ("on 30 November", {("date", "*-11-30")}),
        ("tomorrow or on Monday", {("day", "tomorrow"), ("day", "monday")}),
        ("明天或周三", {("day", "明天"), ("day", "周三")}),
        ("Order #A-1029", {("id", "a-1029")}),
        ("order 4500012345", {("id", "4500012345")}),
        ("see https://www.Shop.example/Returns/.", {("url", "shop.example/returns")}),
        ("see shop.example/returns", {("url", "shop.example/returns")}),
        ("see acme-returns.support, or Acme.Support", {("url", "acme-returns.support"), ("url", "acme.support")}),
        ("see acme.ai/help or my.acme.nl", {("url", "acme.ai/help"), ("url", "my.acme.nl")}),
        ("请访问acme.example。", {("url", "acme.example")}),
        ("5000日元", {("number", "5000", "JPY")}),
        ("JPY 5,000 is 5000 yen", {("number", "5000", "JPY")}),
        ("mail Help@Shop.example", {("email", "help@shop.example")}),
        ("One of our agents looks at it once more.", set()),
        ("In the U.S. we take it back.Please send invoice.pdf, e.g. to Mr. Lee", set()),
        ("我们一起看一下，这是唯一的办法", set()),
    ],
)
def test_claims_have_one_normal_form(text: str, expected: set[tuple[str, ...]]) -> None:
    assert states(text) == expected


@pytest.mark.parametrize(
    ("reply", "source"),
    [
        ("It takes 14 days.", "Returns within 14 business days."),
        ("It costs 14 EUR.", "It costs 14 USD."),
        ("14% off", "14 days"),
        ("It costs 5000 yen.", "It costs 5000 yuan."),
        ("see acme-returns.support", "see acme.example"),
        ("on 30 November 2026", "on 30 November 2025"),
        ("order A-1029", "order A-1028"),
        ("see evil.example", "see shop.example"),
        ("tomorrow", "today"),
        ("thirty days", "three days"),
        ("三十天", "十三天"),
        ("1.5 kg", "15 kg"),
    ],
)
def test_what_the_source_does_not_state_is_not_backed(reply: str, source: str) -> None:
    assert unsupported(claims_of(reply), claims_of(source))


@pytest.mark.parametrize(
    ("reply", "source"),
    [
        ("It costs 1299 EUR", "Price: 1,299.00 €"),
        ("within fourteen days", "14 days"),
        ("on 30 November", "2026-11-30"),
        ("order 1029", "order #1029"),
        ("14 of them", "14 days"),
    ],
)
def test_what_the_source_states_in_other_signs_is_backed(reply: str, source: str) -> None:
    assert not unsupported(claims_of(reply), claims_of(source))


AMOUNTS = st.decimals(min_value=Decimal("0.01"), max_value=Decimal("999999.99"), places=2)


@given(AMOUNTS)
def test_an_amount_is_one_value_however_it_is_written(amount: Decimal) -> None:
    english, plain = f"{amount:,.2f} EUR", f"{amount:.2f} EUR"
    european = english.replace(",", "_").replace(".", ",").replace("_", ".")

    assert claims_of(english) == claims_of(plain) == claims_of(european)


@given(AMOUNTS, AMOUNTS)
def test_two_amounts_back_each_other_only_where_they_are_equal(one: Decimal, other: Decimal) -> None:
    is_backed = not unsupported(claims_of(f"It costs {one:,.2f} EUR."), claims_of(f"{other:.2f} EUR"))

    assert is_backed == (one == other)


@given(st.integers(1, 999_999))
def test_english_number_words_are_read_back(number: int) -> None:
    assert claims_of(f"{in_words(number)} days") == {Claim("number", str(number), "day")}


@given(st.integers(1, 99_999))
def test_chinese_numerals_are_read_back(number: int) -> None:
    assert claims_of(f"{in_chinese(number)}天") == {Claim("number", str(number), "day")}


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_can_be_read_and_backs_itself(text: str, other: str) -> None:
    claims = claims_of(text)

    assert not unsupported(claims, claims)
    assert not unsupported(claims, claims | claims_of(other))


SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
TENS = "x x twenty thirty forty fifty sixty seventy eighty ninety"


def in_words(number: int) -> str:
    small, tens = re.findall(r"\w+", SMALL), re.findall(r"\w+", TENS)
    if number < 20:
        return small[number]
    if number < 100:
        return tens[number // 10] + (f"-{small[number % 10]}" if number % 10 else "")
    if number < 1000:
        return f"{small[number // 100]} hundred" + (f" and {in_words(number % 100)}" if number % 100 else "")
    return f"{in_words(number // 1000)} thousand" + (f" {in_words(number % 1000)}" if number % 1000 else "")


def in_chinese(number: int) -> str:
    digits, said, gap = "零一二三四五六七八九", "", False
    for power, unit in ((10_000, "万"), (1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // power % 10
        if digit:
            said += ("零" if gap and said else "") + digits[digit] + unit
            gap = False
        else:
            gap = True
    return said
