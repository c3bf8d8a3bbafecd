"""Whether the reasons given for risky transactions are those that their scores rest on, on the handbook's set."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path

import numpy as np
import xgboost
from numpy.typing import NDArray

from ml.data.velocity import FEATURES
from ml.evaluation.fraud import Fold, unknown_rows, within
from ml.explain.reason_faithfulness import measure_reason_faithfulness
from ml.serving.risk_ensemble import tree_logits
from ml.tasks.risk_cases import cases_of, telling_columns
from ml.tasks.risk_config import RiskConfig
from ml.tasks.risk_trees import fit_trees_and_onset
from ml.training.environment import seeded
from tests.benchmarks.fraud import FIRST_DAY, history_weeks, read_world
from tests.benchmarks.records import Record
from tests.benchmarks.runner import HOME

# The newest of the handbook's weeks of validation, and as many transactions as a desk sees in some days.
FOLD = Fold((date(2018, 7, 11) - FIRST_DAY).days)
CASES = 400


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """The share of its score that a transaction loses without its first reason, less that without another one.

    Raises SystemExit where the data are missing.
    """
    world = read_world(data, HOME / "benchmarks" / "fraud")
    settings = RiskConfig(encoder="none", genuine_share=0.3)
    learned = np.flatnonzero(within(world.day, history_weeks(FOLD)) | within(world.day, FOLD.train))
    train = cases_of(
        world.columns,
        learned,
        fraud=world.fraud[learned],
        settings=settings,
        genuine_share=settings.genuine_share,
        features=world.features,
    )
    columns = telling_columns(train.features)
    with seeded(settings.seed, None):
        trees, _ = fit_trees_and_onset(train.columns(columns), [FEATURES[column] for column in columns], settings)
    rows = unknown_rows(FOLD, world.day, world.columns.customer, world.fraud)
    table = np.ascontiguousarray(world.features[rows][:, columns])
    table = table[np.argsort(-tree_logits(trees, table), kind="stable")[:CASES]]

    def score(changed: NDArray[np.floating]) -> NDArray[np.float64]:
        return 1.0 / (1.0 + np.exp(-tree_logits(trees, changed.astype(np.float32))))

    found = measure_reason_faithfulness(
        score,
        table,
        trees.predict(xgboost.DMatrix(table), pred_contribs=True)[:, :-1],
        np.nanmedian(train.features[train.fraud == 0][:, columns], axis=0),
        [FEATURES[column] for column in columns],
    )
    detail = {name: value for name, value in asdict(found).items() if name != "difference"}
    yield {"id": "risk.reasons.faithfulness", "value": found.difference, "seeds": 1, "detail": detail}
