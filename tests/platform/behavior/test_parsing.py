"""Each parser gives a storable value or says what is wrong; nothing else comes out of it."""

import json
import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from behavior.clock import EPOCH
from behavior.parsing import (
    MAX_PROPERTIES,
    PARSERS,
    Invalid,
    parse_properties,
    parse_subject_id,
    parse_time,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(raw=ANYTHING.filter(lambda raw: raw is not None), name=st.sampled_from(list(PARSERS)))
def test_a_parser_stores_or_explains(raw: Any, name: str) -> None:
    try:
        value = PARSERS[name](raw)
    except Invalid as problem:
        value = f"{problem.code}: {problem.message}"
    assert value is not None
    if isinstance(value, str):
        assert "\0" not in value
        value.encode()
    if isinstance(value, float):
        assert math.isfinite(value)


@given(micros=st.integers(0, 250_000_000_000_000_000))
def test_iso_times_keep_their_microseconds(micros: int) -> None:
    assert parse_time((EPOCH + timedelta(microseconds=micros)).isoformat()) == micros


@given(seconds=st.integers(0, 9_999_999_999))
def test_epoch_units_are_told_by_their_size(seconds: int) -> None:
    assert parse_time(seconds) == parse_time(str(seconds)) == parse_time(f"{seconds}.0") == seconds * 1_000_000
    if seconds > 200_000_000:
        assert parse_time(seconds * 1000) == parse_time(seconds)
        assert parse_time(seconds * 1_000_000) == parse_time(seconds)


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("2019-10-01 00:00:00 UTC", "2019-10-01T00:00:00+00:00"),
        ("2019-10-01", "2019-10-01T00:00:00+00:00"),
        ("2019-10-01T02:00:00+02:00", "2019-10-01T00:00:00+00:00"),
        ("2019-10-01T00:00:00.123456Z", "2019-10-01T00:00:00.123456+00:00"),
    ],
)
def test_times_as_exports_write_them(raw: str, meant: str) -> None:
    assert EPOCH + timedelta(microseconds=parse_time(raw)) == datetime.fromisoformat(meant)


@pytest.mark.parametrize("raw", ["yesterday", "", "nan", "-5", "1e300", True, [], "31.12.2019"])
def test_what_is_no_time_is_refused(raw: Any) -> None:
    with pytest.raises(Invalid):
        parse_time(raw)


@pytest.mark.parametrize("raw", ["null", "Undefined", " NaN ", "guest", "[object Object]", "", " ", "x" * 201])
def test_ids_that_stand_for_no_one_are_refused(raw: str) -> None:
    with pytest.raises(Invalid):
        parse_subject_id(raw)


def test_zero_is_the_first_person_of_a_numbered_export() -> None:
    assert parse_subject_id("0") == parse_subject_id(0) == "0"


def test_ids_are_trimmed_and_numbers_become_text() -> None:
    assert parse_subject_id(" ada ") == "ada"
    assert parse_subject_id(42) == parse_subject_id(42.0) == "42"


@given(value=ANYTHING)
def test_properties_come_back_as_they_were(value: Any) -> None:
    try:
        text = parse_properties({"value": value})
    except Invalid:
        return
    assert json.loads(text) == {"value": value}
    assert len(text.encode()) <= MAX_PROPERTIES


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"a": "x" * MAX_PROPERTIES}, "too_large"),
        ({"a": "ü" * (MAX_PROPERTIES // 2)}, "too_large"),
        ({"a": [{"b": "nul\0"}]}, "nul_byte"),
        ({"a\ud800": 1}, "not_unicode"),
        ({"a": [math.nan]}, "not_finite"),
        ({"a": [[[[[[[[]]]]]]]]}, "too_deep"),
        ("[1, 2]", "wrong_type"),
        ("{broken", "wrong_type"),
    ],
)
def test_properties_that_jsonb_cannot_hold_are_refused(properties: Any, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_properties(properties)
    assert refused.value.code == code
