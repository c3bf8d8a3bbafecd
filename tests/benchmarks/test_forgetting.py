"""Going on training, on a small log whose habits change half-way."""

import json
from pathlib import Path

import numpy as np

from ml.benchmark.datasets import DATASETS
from tests.benchmarks import configurations
from tests.benchmarks.forgetting import HELD_OUT, forgetting, part_of
from tests.benchmarks.runner import Runner

ITEMS = 40
SETTINGS = {"dimension": 16, "layers": 1, "heads": 1, "epochs": 12, "inputs": [], "learning_rate": 0.02, "threads": 1}


def write_log(folder: Path) -> None:
    """Users come one after the other; the first half goes from item i to i + 1, the second one to i + 5."""
    events = folder / "retailrocket_multibehavior" / "events_train.csv"
    events.parent.mkdir(parents=True)
    rows = ["user,item,event,ts"]
    for user in range(200):
        for step in range(12):
            item, time = (7 * user + (1 if user < 100 else 5) * step) % ITEMS, 1_400_000_000 + 400 * user + 100 * step
            rows.append(f"{user},{item},{'buy' if step % 4 == 3 else 'view'},{time}")
    events.write_text("\n".join(rows))


def test_going_on_without_replay_forgets_what_replay_keeps(tmp_path: Path) -> None:
    write_log(tmp_path)
    content = {"kind": "forgetting", "dataset": "retailrocket-buys", "model": "gru", "settings": SETTINGS, "seeds": [0]}
    (tmp_path / "tiny.json").write_text(json.dumps({**content, "quantile": 0.5}))
    records = forgetting(configurations.load("tiny", tmp_path), Runner(tmp_path, tmp_path / "kept", "abc"))
    scores = {record["id"].removeprefix("recsys.forgetting."): record["value"] for record in records}
    ways = ("before", "no-replay", "replay", "anew")
    assert set(scores) == {f"{window}.{way}" for window in ("old", "new") for way in ways}
    assert scores["old.before"] > scores["new.before"], "it has seen the old habit only"
    assert scores["new.no-replay"] > scores["new.before"]
    assert scores["old.no-replay"] < scores["old.replay"]


def test_held_out_subjects_are_in_no_training_log(tmp_path: Path) -> None:
    write_log(tmp_path)
    columns = DATASETS["retailrocket-buys"](tmp_path, tmp_path / "work").columns
    kept = columns.subject_of_events() % HELD_OUT > 0
    part = part_of(columns, kept, tmp_path / "part")
    assert part.subjects == 160
    assert list(part.item) == list(np.array(columns.item)[kept])
    assert part.items == columns.items
