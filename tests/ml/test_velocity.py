"""Velocity features: equal to a plain loop, and equal however much of the log is at hand."""

import math
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.data.party_log import PartyLog
from ml.data.transactions import COLUMNS, PARTIES, TransactionColumns, write_transactions
from ml.data.velocity import DESCRIPTIONS, FEATURES, velocity_features

DAY = 86_400.0
COLUMN = {name: place for place, name in enumerate(FEATURES)}


@st.composite
def logs(draw: st.DrawFn) -> TransactionColumns:
    """Few parties in many days, with ties, missing devices, and labels that come late or are taken back."""
    rows = draw(st.integers(1, 40))
    hours = draw(st.lists(st.integers(0, 60 * 24), min_size=rows, max_size=rows))
    time = 1.6e9 + np.array(hours) * 3_600.0
    delay = np.array(draw(st.lists(st.sampled_from([0.0, 2.0, 7.0, math.inf]), min_size=rows, max_size=rows)))
    code = st.lists(st.integers(0, 2), min_size=rows, max_size=rows)
    return TransactionColumns.of(
        types=["payment"],
        time=time,
        amount=draw(st.lists(st.sampled_from([0.0, 1.5, 10.0, 220.25]), min_size=rows, max_size=rows)),
        customer=draw(code),
        counterparty=draw(code),
        device=np.array(draw(code)) - 1,
        fraud_known_at=time + delay * DAY,
        cleared_at=np.where(delay == 2.0, time + 9 * DAY, math.inf),
    )


def plain_features(log: TransactionColumns, row: int, party: str) -> dict[str, float]:
    """A part of the definition, one transaction after the other."""
    now, amount = log.time[row], log.amount[row]
    other = log.customer if party != "customer" else log.counterparty
    mine = getattr(log, party)
    past = [i for i in range(len(log)) if mine[i] == mine[row] and now - 38 * DAY < log.time[i] < now]
    past.sort(key=lambda i: (log.time[i], log.amount[i]))
    known = [i for i in past if log.fraud_known_at[i] <= now < log.cleared_at[i]]
    found: dict[str, float] = {}
    for window, seconds in {"1h": 3_600, "1d": DAY, "7d": 7 * DAY, "30d": 30 * DAY}.items():
        within = [i for i in past if log.time[i] > now - seconds]
        people = "counterparties" if party == "customer" else "customers"
        found[f"{party}_count_{window}"] = len(within) + 1
        found[f"{party}_amount_sum_{window}"] = sum(log.amount[i] for i in within) + amount
        found[f"{party}_{people}_{window}"] = len({int(other[i]) for i in [*within, row]})
    for window, days in {"1d": 1, "7d": 7, "30d": 30}.items():
        settled = [i for i in past if now - (7 + days) * DAY < log.time[i] <= now - 7 * DAY]
        frauds = [i for i in settled if i in known]
        found[f"{party}_settled_count_{window}"] = len(settled)
        found[f"{party}_fraud_rate_{window}"] = len(frauds) / len(settled) if settled else 0.0
    genuine = [i for i in past if log.time[i] <= now - 7 * DAY and i not in known]
    run = [i for i in known if not genuine or past.index(i) > past.index(genuine[-1])]
    found[f"{party}_seconds_since_last"] = now - log.time[past[-1]] if past else math.nan
    found[f"{party}_known_frauds_28d"] = sum(log.time[i] > now - 28 * DAY for i in known)
    found[f"{party}_known_fraud_amount_min"] = min((log.amount[i] for i in known), default=math.nan)
    found[f"{party}_seconds_since_known_fraud"] = now - log.time[known[-1]] if known else math.nan
    found[f"{party}_seconds_since_settled_genuine"] = now - log.time[genuine[-1]] if genuine else math.nan
    found[f"{party}_fraud_run"] = len(run)
    found[f"{party}_seconds_since_fraud_run"] = now - log.time[run[0]] if run else math.nan
    if party == "customer":
        amounts = [log.amount[i] for i in past]
        month = [log.amount[i] for i in past if log.time[i] > now - 30 * DAY]
        middle = median(amounts[-64:]) if amounts else math.nan
        spread = stdev(month) if len(month) > 1 else 0.0
        found["new_counterparty"] = float(all(other[i] != other[row] for i in past))
        found["customer_amount_median"] = middle
        found["amount_to_customer_median"] = amount / middle if middle > 0 else math.nan
        found["amount_z_customer_30d"] = (amount - mean(month)) / spread if spread else math.nan
        large = [i for i in past if log.amount[i] > 3 * middle and log.time[i] > now - 14 * DAY]
        found["customer_large_14d"] = len(large)
    return found


@settings(max_examples=60)
@given(logs())
def test_every_value_is_that_of_a_plain_loop(log: TransactionColumns) -> None:
    table = velocity_features(log)
    for row in range(len(log)):
        for party in ("customer", "counterparty", "device"):
            if getattr(log, party)[row] < 0:
                assert np.isnan(table[row, [COLUMN[name] for name in FEATURES if name.startswith(party)]]).all()
                continue
            for name, value in plain_features(log, row, party).items():
                assert table[row, COLUMN[name]] == pytest.approx(value, rel=1e-6, nan_ok=True), name


def random_log(rows: int = 3_000) -> TransactionColumns:
    random = np.random.default_rng(5)
    time = 1.6e9 + random.integers(0, 90 * 86_400, rows)
    return TransactionColumns.of(
        types=["payment"],
        time=time,
        amount=random.lognormal(3.0, 1.0, rows).round(2),
        customer=random.integers(0, 40, rows),
        counterparty=random.integers(0, 30, rows),
        card=random.integers(-1, 60, rows),
        fraud_known_at=np.where(random.random(rows) < 0.1, time + random.exponential(9 * DAY, rows), math.inf),
    )


def test_the_histories_of_its_parties_give_a_transaction_the_same_features_as_the_whole_log() -> None:
    log, random = random_log(), np.random.default_rng(6)
    whole = velocity_features(log)
    for row in random.integers(0, len(log), 50):
        shared = (log.customer == log.customer[row]) | (log.counterparty == log.counterparty[row])
        shared |= (log.card == log.card[row]) & (log.card[row] >= 0)
        history = np.flatnonzero(shared & (log.time < log.time[row]) & (log.time > log.time[row] - 38 * DAY))
        history = random.permutation(np.append(history, row))
        part = TransactionColumns.of(types=log.types, **{name: getattr(log, name)[history] for name in COLUMNS})
        online = velocity_features(part, np.flatnonzero(history == row))
        np.testing.assert_array_equal(online[0], whole[row])


def test_all_kinds_of_parties_at_once_give_what_each_gives_alone() -> None:
    log = random_log()
    at_once = velocity_features(log, logs=[PartyLog.of(log, PARTIES)])
    one_by_one = velocity_features(log, logs=[PartyLog.of(log, [party]) for party in PARTIES])
    np.testing.assert_array_equal(at_once, one_by_one)


def test_a_label_counts_from_the_moment_at_which_it_was_known() -> None:
    def frauds(known_after_days: float) -> float:
        log = TransactionColumns.of(
            types=["payment"],
            time=[0.0, 8 * DAY],
            amount=[5.0, 5.0],
            customer=[0, 1],
            counterparty=[7, 7],
            fraud_known_at=[known_after_days * DAY, math.inf],
        )
        return float(velocity_features(log, np.array([1]))[0, COLUMN["counterparty_known_frauds_28d"]])

    assert frauds(8.0) == 1.0
    assert frauds(8.1) == 0.0


@pytest.mark.parametrize("before", [[1e-320, 1e-320], [1e-30, 1e-30], [0.1, 0.1, 0.1], [1e-5, 1e12]])
def test_no_amount_makes_a_feature_infinite(before: list[float]) -> None:
    """An infinite one could neither be stored nor learned from; a deviation of equal amounts is rounding alone."""
    log = TransactionColumns.of(
        types=["payment"],
        time=np.arange(len(before) + 1) * DAY,
        amount=[*before, 1e12],
        customer=np.zeros(len(before) + 1, dtype=np.int64),
    )
    features = velocity_features(log, np.array([len(before)]))[0]
    assert not np.isinf(features).any()
    assert math.isnan(features[COLUMN["amount_z_customer_30d"]]) == (len(set(before)) == 1)


def test_a_log_without_rows_has_features_without_rows() -> None:
    empty = TransactionColumns.of(types=["payment"], time=[], amount=[])
    assert velocity_features(empty).shape == (0, len(FEATURES))


def test_each_feature_is_described_in_words() -> None:
    assert set(DESCRIPTIONS) == set(FEATURES)
    assert all(DESCRIPTIONS.values())


def test_columns_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = write_transactions(
        tmp_path / "log", types=["payment", "transfer"], time=[2.0, 1.0], amount=[1.0, 0.0], type=[1, 0], device=[4, -1]
    )
    opened = TransactionColumns.open(tmp_path / "log")
    assert opened.types == written.types
    assert opened.time.tolist() == [2.0, 1.0]
    assert opened.device.tolist() == [4, -1]
    assert opened.customer.tolist() == [-1, -1]
    assert opened.known_fraud(math.inf).sum() == 0


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("amount", [-1.0], "amount must be finite and not negative"),
        ("amount", [math.nan], "amount must be finite"),
        ("time", [math.inf], "time must be finite"),
        ("customer", [-2], "customer must be a code from 0"),
        ("type", [1], "type must lie in 0..0"),
        ("fraud_known_at", [math.nan], "fraud_known_at must not be NaN"),
        ("device", [1, 2], "device has 2 rows where time has 1"),
    ],
)
def test_unusable_columns_are_named(column: str, values: list[float], message: str) -> None:
    usable = {"time": [0.0], "amount": [1.0]}
    with pytest.raises(ValueError, match=message):
        TransactionColumns.of(types=["payment"], **(usable | {column: values}))
