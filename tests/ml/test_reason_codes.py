import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data.velocity import FEATURES
from ml.explain.reason_codes import reason_codes
from ml.explain.reason_words import describe, duration, number

HOUR = 3_600.0


@pytest.mark.parametrize(
    ("feature", "value", "code", "text"),
    [
        ("amount", 1234.5, "amount", "amount is 1,234"),
        ("amount_to_customer_mean_30d", 6.21, "amount_to_customer", "amount is 6.2 times this customer's 30-day mean"),
        (
            "amount_to_customer_median",
            0.2,
            "amount_to_customer",
            "amount is only 0.2 times this customer's usual amount",
        ),
        (
            "amount_z_customer_30d",
            4.2,
            "amount_to_customer",
            "amount is 4 standard deviations above this customer's 30-day mean",
        ),
        (
            "counterparty_known_frauds_28d",
            4.0,
            "counterparty_frauds",
            "this counterparty had 4 confirmed frauds in the last 28 days",
        ),
        ("device_known_frauds_28d", 1.0, "device_frauds", "this device had 1 confirmed fraud in the last 28 days"),
        (
            "counterparty_fraud_rate_7d",
            0.123,
            "counterparty_frauds",
            "12% of this counterparty's payments in the 7 days up to a week ago were fraud",
        ),
        ("new_counterparty", 1.0, "new_counterparty", "first payment to this counterparty"),
        ("customer_count_1h", 7.0, "customer_count", "7 payments by this customer within an hour"),
        ("card_count_1d", 1.0, "card_count", "1 payment with this card within a day"),
        ("device_customers_7d", 3.0, "device_distinct", "3 different customers of this device within 7 days"),
        ("customer_seconds_since_last", 61.0, "customer_pause", "1 minute after this customer's previous payment"),
        ("hour", 3.25, "time_of_day", "made at 03:15 UTC"),
        ("customer_large_14d", 3.0, "customer_large", "3 unusually large payments by this customer within 14 days"),
    ],
)
def test_a_feature_is_said_in_words(feature: str, value: float, code: str, text: str) -> None:
    assert describe(feature, value) == (code, text)


def test_the_strongest_of_a_family_speaks_for_all_of_it() -> None:
    features = {"amount_to_customer_mean_30d": 6.2, "amount_to_customer_median": 7.0, "new_counterparty": 1.0}
    parts = {"amount_to_customer_mean_30d": 0.7, "amount_to_customer_median": 0.5, "new_counterparty": 0.9}
    first, second = reason_codes(features, parts)
    assert (first.code, first.feature, first.part) == (
        "amount_to_customer",
        "amount_to_customer_mean_30d",
        pytest.approx(1.2),
    )
    assert first.text == "amount is 6.2 times this customer's 30-day mean"
    assert (second.code, second.value) == ("new_counterparty", 1.0)


def test_what_lowers_the_score_or_speaks_for_the_customer_is_no_reason() -> None:
    features = {"counterparty_known_frauds_28d": 0.0, "new_counterparty": 0.0, "is_night": 0.0, "amount": 3.0}
    parts = {"counterparty_known_frauds_28d": 0.4, "new_counterparty": 0.3, "is_night": 0.2, "amount": -1.0}
    assert reason_codes(features, parts) == []


def test_a_family_whose_features_cancel_is_no_reason() -> None:
    features = {"customer_count_1h": 7.0, "customer_count_1d": 7.0}
    assert reason_codes(features, {"customer_count_1h": 0.5, "customer_count_1d": -0.6}) == []


def test_missing_history_is_said_once_for_each_party() -> None:
    features = {"customer_seconds_since_last": None, "amount_to_customer_median": math.nan}
    (reason,) = reason_codes(features, {"customer_seconds_since_last": 0.2, "amount_to_customer_median": 0.3})
    assert reason.code == "customer_unknown"
    assert reason.text == "too little is known of this customer"
    assert (reason.value, reason.part) == (None, pytest.approx(0.5))


def test_the_limit_holds_and_the_strongest_come_first() -> None:
    parts = {"amount": 0.1, "new_counterparty": 0.3, "is_weekend": 0.2}
    codes = [reason.code for reason in reason_codes(dict.fromkeys(parts, 1.0), parts, limit=2)]
    assert codes == ["new_counterparty", "weekend"]


def test_an_unknown_feature_is_made_readable() -> None:
    (reason,) = reason_codes({"distance_from_home_km": 812.4}, {"distance_from_home_km": 1.0})
    assert reason.text == "distance from home km is 812"
    assert reason.code == "distance_from_home_km"


@pytest.mark.parametrize("feature", FEATURES)
def test_every_velocity_feature_has_words_of_its_own(feature: str) -> None:
    code, text = describe(feature, 3.0)
    assert code != feature or feature in ("amount", "new_counterparty")
    assert text is not None
    assert "_" not in text


@given(
    st.dictionaries(
        st.one_of(st.sampled_from(FEATURES), st.text(max_size=8)),
        st.tuples(
            st.one_of(st.none(), st.floats(), st.text(max_size=3)), st.one_of(st.floats(), st.none(), st.integers())
        ),
        max_size=12,
    )
)
def test_nothing_is_too_odd_for_it(given_: dict[str, tuple[object, object]]) -> None:
    features = {name: value for name, (value, _) in given_.items()}
    parts = {name: part for name, (_, part) in given_.items()}
    reasons = reason_codes(features, parts)  # type: ignore[arg-type]
    assert len({reason.code for reason in reasons}) == len(reasons) <= 4
    assert all(reason.part > 0 and reason.text for reason in reasons)


def test_numbers_and_durations_are_rounded_for_people() -> None:
    assert [number(value) for value in (1234.6, 62.4, 6.2, 3.0, 0.18, 0.0)] == ["1,235", "62", "6.2", "3", "0.18", "0"]
    assert [duration(value) for value in (0.2, 1.0, 45.0, 61.0, 2 * HOUR, 23.9 * HOUR, 49 * HOUR)] == [
        "less than a second",
        "1 second",
        "45 seconds",
        "1 minute",
        "2 hours",
        "24 hours",
        "2 days",
    ]
