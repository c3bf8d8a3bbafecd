"""Click rates from sequences: Amazon Beauty beside DeepCTR-Torch's DIN, on the same rows in the same run.

As in the DIN paper's Amazon data: each row asks whether an item comes next after a history, once for the item that did
and once for one that the user never had. A user's last item is the test, the one before it validation, and the up to
three before those are trained on.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.data.impressions import Impressions
from ml.evaluation.classification import area_under_roc, log_loss
from ml.serving.click_rate import ClickRatePredictor
from ml.tasks.registry import TASKS
from tests.benchmarks.peers.environments import HERE, Peer
from tests.benchmarks.records import Record
from tests.benchmarks.runner import HOME, spread

SEEDS = (0, 1, 2)
LONGEST_HISTORY = 20
TRAINED = 3
DEEPCTR = Peer("deepctr", "DeepCTR-Torch 0.3.0 DIN")
# The same for both.
SHAPE = {"dimension": 16, "hidden": 128, "epochs": 4, "batch_size": 1024, "learning_rate": 2e-3, "threads": 1}

Rows = dict[str, NDArray[np.int64]]


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """Raises SystemExit where the data are missing."""
    sequences = read_sequences(data)
    own, peer, ours, theirs = [], [], [], []
    for seed in SEEDS:
        parts = rows_of(sequences, seed)
        clicked = parts["test"]["clicked"]
        with tempfile.TemporaryDirectory() as folder:
            chances = fit(parts, Path(folder) / "artifact", seed)
            found = ask_peer(parts, Path(folder), seed)
        own.append(area_under_roc(chances, clicked))
        peer.append(area_under_roc(found, clicked))
        ours.append(log_loss(chances, clicked))
        theirs.append(log_loss(found, clicked))
    floor = area_under_roc(popularity(parts), clicked)
    yield {
        "id": "ads.sequences.beauty.auc",
        "value": float(np.mean(own)),
        **spread(own),
        "floor": floor,
        "peer": {"name": DEEPCTR.title, "value": float(np.mean(peer))},
        "aim": ">= 1 x peer",
        "detail": {
            "log_loss": float(np.mean(ours)),
            "peer_log_loss": float(np.mean(theirs)),
            "test_rows": len(clicked),
            "train_rows": len(parts["train"]["clicked"]),
        },
    }


def fit(parts: dict[str, Rows], out: Path, seed: int) -> NDArray[np.float64]:
    """Our chances of the test rows."""
    columns = {name: np.concatenate([parts[part][name] for part in parts]) for name in parts["train"]}
    total, trained = len(columns["clicked"]), len(parts["train"]["clicked"])
    items = [str(item) for item in range(1, 1 + max(int(columns["item"].max()), int(columns["history"].max())))]
    log = Impressions(
        time=np.arange(total, dtype=np.float64),
        clicked=columns["clicked"].astype(np.int8),
        delay=np.full(total, np.nan),
        fields=columns["item"][:, None].astype(np.int32),
        numbers=np.zeros((total, 0), dtype=np.float32),
        history=columns["history"].astype(np.int32),
        names=["item"],
        values=[items],
        number_names=[],
        target="item",
    )
    settings: dict[str, Any] = {
        **SHAPE,
        "least_seen": 1,
        "seed": seed,
        "validation_quantile": (trained - 0.5) / (total - 1),
        "test_quantile": (trained + len(parts["validation"]["clicked"]) - 0.5) / (total - 1),
    }
    report = TASKS["click_rate"].fit(log, settings, out, progress=lambda _: None)
    print(json.dumps({"seed": seed, "test": report.test, "curve": report.curve, "seconds": report.seconds}), flush=True)
    tested = log.rows(np.flatnonzero(log.time >= report.split["test_time"]))
    return ClickRatePredictor.load(out).probabilities(tested)


def ask_peer(parts: dict[str, Rows], folder: Path, seed: int) -> NDArray[np.float64]:
    """The peer's chances of the test rows. Raises CalledProcessError where it fails."""
    rows, chances = folder / "rows.npz", folder / "chances.npz"
    np.savez(rows, **{f"{part}_{name}": column for part, columns in parts.items() for name, column in columns.items()})
    items = max(max(int(columns["item"].max()), int(columns["history"].max())) for columns in parts.values())
    command = [str(DEEPCTR.python(HOME / "peers")), str(HERE / "deepctr_din.py")]
    for name, value in {"rows": rows, "chances": chances, "items": items, "seed": seed, **SHAPE}.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    print(done.stdout.splitlines()[-1], flush=True)
    with np.load(chances, allow_pickle=False) as answered:
        return np.asarray(answered["chances"], dtype=np.float64)


def popularity(parts: dict[str, Rows]) -> NDArray[np.float64]:
    """Of each test row's item, how often it came next in training."""
    train = parts["train"]
    size = 1 + max(int(columns["item"].max()) for columns in parts.values())
    counts = np.bincount(train["item"], weights=train["clicked"], minlength=size)
    return np.asarray(counts[parts["test"]["item"]])


def rows_of(sequences: list[list[int]], seed: int) -> dict[str, Rows]:
    """By part of the data, the columns item (n,), history (n, LONGEST_HISTORY) with 0 after its end, clicked (n,)."""
    generator = np.random.default_rng(seed)
    items = max(max(sequence) for sequence in sequences)
    parts: dict[str, list[tuple[int, list[int], int]]] = {"train": [], "validation": [], "test": []}
    for sequence in sequences:
        had = set(sequence)
        for back in range(1, min(TRAINED + 2, len(sequence) - 1) + 1):
            place = len(sequence) - back
            part = {1: "test", 2: "validation"}.get(back, "train")
            history = sequence[max(0, place - LONGEST_HISTORY) : place]
            other = int(generator.integers(1, items + 1))
            while other in had:
                other = int(generator.integers(1, items + 1))
            parts[part] += [(sequence[place], history, 1), (other, history, 0)]
    return {part: _columns(rows) for part, rows in parts.items()}


def _columns(rows: list[tuple[int, list[int], int]]) -> Rows:
    history = np.zeros((len(rows), LONGEST_HISTORY), dtype=np.int64)
    for place, (_, past, _) in enumerate(rows):
        history[place, : len(past)] = past
    return {
        "item": np.array([item for item, _, _ in rows]),
        "history": history,
        "clicked": np.array([clicked for _, _, clicked in rows]),
    }


def read_sequences(data: Path | None) -> list[list[int]]:
    file = Path(data) / "recsys" / "amazon_beauty" / "Beauty.txt" if data else None
    if file is None or not file.exists():
        raise SystemExit(
            "click_sequences needs --data or SEQUITUR_DATA, a folder with recsys/amazon_beauty/Beauty.txt (Amazon "
            "Beauty as aHuiWang/CIKM2020-S3Rec publishes it)"
        )
    return [[int(item) for item in line.split()[1:]] for line in file.read_text().splitlines()]
