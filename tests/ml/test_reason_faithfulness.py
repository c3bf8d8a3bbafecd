"""Reasons of a real fitted model on synthetic data: what they name is what the score rests on."""

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from ml.explain.reason_faithfulness import measure_reason_faithfulness

NAMES = (
    *("amount", "hour", "amount_to_customer_mean_30d", "amount_to_customer_median", "counterparty_known_frauds_28d"),
    *("counterparty_fraud_rate_7d", "new_counterparty", "customer_count_1h", "device_customers_7d", "card_count_1d"),
)


@pytest.fixture(scope="module")
def table() -> NDArray[np.float32]:
    generator = np.random.default_rng(0)
    rows = 4_000
    ratio = generator.lognormal(0.0, 0.7, rows)
    frauds = generator.poisson(0.15, rows)
    columns = [
        generator.lognormal(4, 1, rows),
        generator.uniform(0, 24, rows),
        ratio,
        ratio * generator.lognormal(0, 0.1, rows),
        frauds,
        np.minimum(frauds / 10 + generator.uniform(0, 0.05, rows), 1),
        generator.integers(0, 2, rows),
        generator.poisson(1.0, rows) + 1,
        generator.poisson(1.0, rows) + 1,
        generator.poisson(2.0, rows) + 1,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def model(table: NDArray[np.float32]) -> xgboost.Booster:
    generator = np.random.default_rng(1)
    logit = -4.0 + 2.5 * (table[:, 2] > 3) + 2.0 * table[:, 4] + 1.0 * table[:, 6] * (table[:, 7] > 2)
    outcome = generator.random(len(table)) < 1 / (1 + np.exp(-logit))
    settings = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.2, "seed": 0, "nthread": 1}
    return xgboost.train(settings, xgboost.DMatrix(table, outcome), 60)


def test_without_its_first_reason_a_score_falls_more_than_without_another(
    table: NDArray[np.float32], model: xgboost.Booster
) -> None:
    def score(rows: NDArray[np.floating]) -> NDArray[np.float32]:
        return model.predict(xgboost.DMatrix(rows))

    suspicious = table[np.argsort(-score(table))[:60]]
    contributions = model.predict(xgboost.DMatrix(suspicious), pred_contribs=True)[:, :-1]
    neutral = np.median(table, axis=0)
    found = measure_reason_faithfulness(score, suspicious, contributions, neutral, NAMES)
    assert found.cases == 60
    assert found.low > 0.2
    assert found.wins > 0.9
    # Contributions that say nothing of the model name reasons that are no better than chance.
    shuffled = np.random.default_rng(0).permuted(contributions, axis=1)
    arbitrary = measure_reason_faithfulness(score, suspicious, shuffled, neutral, NAMES)
    assert arbitrary.wins < found.wins - 0.2


def test_rows_without_a_reason_are_refused() -> None:
    row = np.ones((1, len(NAMES)))
    with pytest.raises(ValueError, match="no row has a reason"):
        measure_reason_faithfulness(lambda rows: rows[:, 0], row, -row, row[0], NAMES)
