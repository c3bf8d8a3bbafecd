"""The world of payments: each planted fraud leaves the trace that it is meant to leave, and no other."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.data.velocity import FEATURES, velocity_features
from ml.simulation.transactions import DAY, KINDS, SimulatedTransactions, TransactionWorld, simulate_transactions

WORLD = TransactionWorld()


@pytest.fixture(scope="module")
def simulated() -> SimulatedTransactions:
    return simulate_transactions(WORLD)


@pytest.fixture(scope="module")
def features(simulated: SimulatedTransactions) -> NDArray[np.float32]:
    return velocity_features(simulated.columns)


def medians(simulated: SimulatedTransactions, features: NDArray[np.float32], name: str) -> dict[str, float]:
    column = features[:, FEATURES.index(name)]
    known = {kind: column[(simulated.kind == code) & ~np.isnan(column)] for code, kind in enumerate(KINDS)}
    return {kind: float(np.median(values)) for kind, values in known.items() if len(values)}


def test_every_kind_is_there_and_frauds_are_rare(simulated: SimulatedTransactions) -> None:
    counts = np.bincount(simulated.kind, minlength=len(KINDS))
    assert (counts[1:] >= 15).all()
    assert 0.003 < simulated.fraud.mean() < 0.03
    assert (np.diff(simulated.columns.time) >= 0).all()
    assert (simulated.columns.amount > 0).all()
    within = (simulated.columns.time >= WORLD.begins) & (simulated.columns.time <= WORLD.begins + WORLD.days * DAY)
    assert within.all()


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    first, again, other = (simulate_transactions(replace(WORLD, customers=60, seed=seed)) for seed in (1, 1, 2))
    assert (first.columns.amount == again.columns.amount).all()
    assert (first.kind == again.kind).all()
    assert len(first.kind) != len(other.kind) or (first.columns.amount != other.columns.amount).any()


def test_each_kind_leaves_its_trace(simulated: SimulatedTransactions, features: NDArray[np.float32]) -> None:
    amount = medians(simulated, features, "amount_to_customer_mean_30d")
    assert amount["amount_outlier"] > 5
    assert amount["account_takeover"] > 1.8
    assert amount["compromised_counterparty"] == pytest.approx(amount["genuine"], rel=0.25)
    assert medians(simulated, features, "customer_count_1h")["compromised_card"] >= 3
    assert medians(simulated, features, "is_night")["account_takeover"] == 1
    assert medians(simulated, features, "device_customers_30d")["mule_ring"] > 2
    assert medians(simulated, features, "device_customers_30d")["genuine"] == 1
    assert medians(simulated, features, "counterparty_fraud_rate_30d")["genuine"] == 0


def test_a_compromised_counterparty_is_known_only_after_a_while(simulated: SimulatedTransactions) -> None:
    columns = simulated.columns
    frauds = np.isfinite(columns.fraud_known_at) & simulated.fraud
    delay = (columns.fraud_known_at - columns.time)[frauds] / DAY
    assert delay.min() > 0
    assert delay.mean() == pytest.approx(WORLD.label_delay_days, rel=0.2)
    assert np.isinf(columns.cleared_at[frauds]).all()
    assert frauds.sum() == pytest.approx(simulated.fraud.sum() * WORLD.reported_share, rel=0.05)


def test_false_alarms_are_cleared_later() -> None:
    simulated = simulate_transactions(replace(WORLD, false_alarm_share=0.05))
    columns = simulated.columns
    mistaken = ~simulated.fraud & np.isfinite(columns.fraud_known_at)
    assert mistaken.sum() > 500
    assert (columns.cleared_at[mistaken] > columns.fraud_known_at[mistaken]).all()


def test_takeovers_and_rings_have_devices_of_their_own(simulated: SimulatedTransactions) -> None:
    device = simulated.columns.device
    for kind in ("account_takeover", "mule_ring"):
        own = np.unique(device[simulated.kind == KINDS.index(kind)])
        assert (own >= WORLD.customers).all()
        assert (simulated.kind[np.isin(device, own)] == KINDS.index(kind)).all()


def test_a_world_without_frauds_and_a_tiny_one_work() -> None:
    peaceful = replace(WORLD, compromised_counterparties=0, compromised_cards=0, takeovers=0, outliers=0, rings=0)
    assert not simulate_transactions(peaceful).fraud.any()
    tiny = TransactionWorld(customers=25, counterparties=6, days=3, daily_payments=0.2)
    assert len(simulate_transactions(tiny).kind) > 0


def test_a_world_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="more customers"):
        TransactionWorld(customers=10)
    with pytest.raises(ValueError, match="reported_share"):
        TransactionWorld(reported_share=1.5)
    with pytest.raises(ValueError, match="days must be 0 or more"):
        TransactionWorld(days=-1)
