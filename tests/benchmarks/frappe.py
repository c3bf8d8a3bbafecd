"""Click rates on Frappe_x1: one calibrated model, three seeds, beside the published figures of its leaderboard.

Validation and test rows are the published ones; the training rows' negatives were drawn anew from the same
distribution. Beside a row's fields the model reads what its user clicked in the training rows, the row itself left out:
a subject's history, which the published models are not given. `fields_alone` is one seed without it.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.impressions import Impressions
from ml.evaluation.classification import expected_calibration_error
from ml.serving.click_rate import ClickRatePredictor
from ml.tasks.base import FitReport
from ml.tasks.registry import TASKS
from tests.benchmarks.records import Record
from tests.benchmarks.runner import spread

SEEDS = (0, 1, 2)
LONGEST_HISTORY = 30
BINS = 15
SETTINGS: dict[str, Any] = {"least_seen": 1, "threads": 1}
# Without the history there is more to learn from each value, and it takes longer.
FIELDS_ALONE: dict[str, Any] = {"attention": 0, "epochs": 12, "patience": 2}
# Record, metric of the test, published parity (DeepFM), aim (FinalMLP's AUC, FinalNet's log loss).
RECORDS = (
    ("ads.frappe.auc", "auc", 0.9842, ">= 0.9861"),
    ("ads.frappe.logloss", "log_loss", 0.1482, "<= 0.1311"),
    ("ads.frappe.ece", "ece", None, "<= 0.01"),
)


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """Raises SystemExit where the data are missing."""
    impressions, quantiles = read_frappe(data)
    settings = SETTINGS | quantiles
    reports = [fit(impressions, {**settings, "seed": seed}) for seed in SEEDS]
    columns = vars(impressions) | {"numbers": impressions.numbers[:, :0], "number_names": []}
    fields_alone = Impressions(**columns | {"history": impressions.history[:, :0]})
    alone = fit(fields_alone, {**settings, **FIELDS_ALONE, "seed": SEEDS[0]})
    for name, metric, parity, aim in RECORDS:
        values = [report.test[metric] for report in reports]
        yield {
            "id": name,
            "value": float(np.mean(values)),
            **spread(values),
            **({"parity": parity} if parity else {}),
            "aim": aim,
            "detail": {
                "fields_alone": alone.test[metric],
                "epochs": float(np.mean([len(report.curve) for report in reports])),
                "minutes": float(np.mean([report.seconds for report in reports])) / 60,
                "information_gain": float(np.mean([report.score for report in reports])),
                "untrained_information_gain": max(reports[0].baselines.values()),
            },
        }


def fit(impressions: Impressions, settings: dict[str, Any]) -> FitReport:
    """The report, with the calibration error in 15 bins beside the other metrics of the test."""
    with tempfile.TemporaryDirectory() as folder:
        report = TASKS["click_rate"].fit(impressions, settings, Path(folder), progress=lambda _: None)
        predictor = ClickRatePredictor.load(Path(folder))
    tested = impressions.rows(np.flatnonzero(impressions.time >= report.split["test_time"]))
    report.test["ece"] = expected_calibration_error(predictor.probabilities(tested), tested.clicked, bins=BINS)
    print(json.dumps({"settings": settings, "test": report.test, "curve": report.curve}), flush=True)
    return report


def read_frappe(data: Path | None) -> tuple[Impressions, dict[str, float]]:
    """All rows, in the order training, validation, test, and the quantiles of their places that part them."""
    folder = Path(data) / "ads" / "frappe_x1" if data else None
    if folder is None or not folder.exists():
        raise SystemExit(
            "frappe needs --data or SEQUITUR_DATA, a folder with ads/frappe_x1: train.csv.gz, valid.csv.gz and "
            "test.csv.gz, as reczoo/Datasets publishes Frappe_x1"
        )
    names = np.loadtxt(folder / "train.csv.gz", delimiter=",", max_rows=1, dtype=str).tolist()[1:]
    parts = [
        np.loadtxt(folder / f"{part}.csv.gz", delimiter=",", skiprows=1, dtype=np.int64)
        for part in ("train", "valid", "test")
    ]
    table, trained = np.concatenate(parts), len(parts[0])
    coded = [np.unique(column, return_inverse=True) for column in table[:, 1:].T]
    fields = np.stack([codes + 1 for _, codes in coded], axis=1).astype(np.int32)
    clicked = table[:, 0].astype(np.int8)
    user, item = names.index("user"), names.index("item")
    before, history = known_clicks(fields[:, user], fields[:, item], clicked, trained)
    last = len(table) - 1
    quantiles = {
        "validation_quantile": (trained - 0.5) / last,
        "test_quantile": (trained + len(parts[1]) - 0.5) / last,
    }
    return Impressions(
        time=np.arange(len(table), dtype=np.float64),
        clicked=clicked,
        delay=np.full(len(table), np.nan),
        fields=fields,
        numbers=np.log1p(before)[:, None].astype(np.float32),
        history=history,
        names=names,
        values=[[str(value) for value in values] for values, _ in coded],
        number_names=["clicks_before"],
        target="item",
    ), quantiles


def known_clicks(
    user: NDArray[np.int32], item: NDArray[np.int32], clicked: NDArray[np.int8], trained: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """How often a row's user clicked its item (n,), and the items that its user clicked most (n, LONGEST_HISTORY), in
    the first `trained` rows, without the row itself."""
    pair = user.astype(np.int64) * (int(item.max()) + 1) + item
    own = (clicked == 1) & (np.arange(len(pair)) < trained)
    pairs, counts = np.unique(pair[own], return_counts=True)
    place = np.minimum(np.searchsorted(pairs, pair), len(pairs) - 1)
    before = np.where(pairs[place] == pair, counts[place], 0) - own
    most = np.zeros((int(user.max()) + 1, LONGEST_HISTORY), dtype=np.int32)
    users, items = np.divmod(pairs, int(item.max()) + 1)
    for each in np.unique(users):
        of_user = np.flatnonzero(users == each)
        favourites = items[of_user[np.argsort(-counts[of_user], kind="stable")]][:LONGEST_HISTORY]
        most[each, : len(favourites)] = favourites
    history = most[user]
    return before, np.where((history == item[:, None]) & (before[:, None] == 0), 0, history)
