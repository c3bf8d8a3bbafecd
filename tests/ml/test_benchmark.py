"""The benchmark command on small files of the published formats."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml.benchmark.__main__ import main, table
from ml.benchmark.datasets import DATASETS, Dataset, MissingData
from ml.evaluation.rules import count_rules

# Modules that a bare GPU machine does not have.
ABSENT = ("safetensors", "tensorboard", "pyarrow", "optuna", "django", "transformers")
QUICK = ["--budget-minutes", "0.02", "--threads", "1", "--set", "dimension=16", "layers=1", "epochs=2"]


def walks(count: int, seed: int = 0) -> list[list[int]]:
    """Sequences that mostly step from item i to i + 1 of 30."""
    generator = np.random.default_rng(seed)
    steps = np.where(generator.random((count, 12)) < 0.8, 1, generator.integers(1, 30, (count, 12)))
    return [[int(code) + 1 for code in row] for row in (generator.integers(0, 30, (count, 1)) + steps.cumsum(1)) % 30]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    sequences = walks(120)
    for name in ("ml-1m", "amazon_beauty", "retailrocket_sessions", "retailrocket_multibehavior"):
        (folder / name).mkdir()
    pairs = [f"{user} {item}" for user, items in enumerate(sequences, start=1) for item in items]
    with gzip.open(folder / "ml-1m" / "ml-1m.txt.gz", "wt") as file:
        file.write("\n".join(pairs))
    lines = [" ".join(map(str, [user, *items])) for user, items in enumerate(sequences, start=1)]
    (folder / "amazon_beauty" / "Beauty.txt").write_text("\n".join(lines))
    sessions = folder / "retailrocket_sessions"
    with gzip.open(sessions / "train_sessions.txt.gz", "wt") as file:
        file.write("\n".join(" ".join(map(str, items)) for items in sequences))
    with gzip.open(sessions / "test_prefix_target.txt.gz", "wt") as file:
        file.write("\n".join(f"{' '.join(map(str, items[:-1]))}\t{items[-1]}" for items in walks(40, seed=1)))
    events = [
        f"{user},{item - 1},{'buy' if place % 4 == 3 else 'view'},{1_400_000_000 + 60 * place + user}"
        for user, items in enumerate(sequences)
        for place, item in enumerate(items[:-1])
    ]
    behaviours = folder / "retailrocket_multibehavior"
    (behaviours / "events_train.csv").write_text("\n".join(["user,item,event,ts", *events]))
    held_out = [f"{user},{items[-1] - 1}" for user, items in enumerate(sequences)]
    (behaviours / "buy_test.csv").write_text("\n".join(["user,item", *held_out]))
    return folder


def read(name: str, data: Path, tmp_path: Path) -> Dataset:
    return DATASETS[name](data, tmp_path)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_no_target_is_trained_on(name: str, data: Path, tmp_path: Path) -> None:
    dataset = read(name, data, tmp_path)
    split = dataset.split
    trained = np.zeros(dataset.columns.events, dtype=bool)
    for start, end in zip(split.train_start, split.train_end, strict=True):
        trained[start:end] = True
    assert trained.any()
    assert not trained[split.test.target].any()
    assert not trained[split.validation.target].any()


def test_the_last_two_items_are_held_out(data: Path, tmp_path: Path) -> None:
    dataset = read("ml-1m", data, tmp_path)
    sequences = walks(120)
    assert list(dataset.columns.item[dataset.split.test.target]) == [items[-1] for items in sequences]
    assert list(dataset.columns.item[dataset.split.validation.target]) == [items[-2] for items in sequences]


def test_placed_prefixes_are_the_tests(data: Path, tmp_path: Path) -> None:
    dataset = read("retailrocket-sessions", data, tmp_path)
    tests = walks(40, seed=1)
    cases = dataset.split.test
    assert list(dataset.columns.item[cases.target]) == [items[-1] for items in tests]
    prefixes = [list(dataset.columns.item[b:e]) for b, e in zip(cases.start, cases.target, strict=True)]
    assert prefixes == [items[:-1] for items in tests]


def test_held_out_buys_come_after_everything_else(data: Path, tmp_path: Path) -> None:
    dataset = read("retailrocket-multibehavior", data, tmp_path)
    columns, split = dataset.columns, dataset.split
    assert list(columns.item[split.test.target]) == [items[-1] for items in walks(120)]
    assert (columns.type[split.validation.target] == columns.types.index("buy")).all()
    assert list(split.test.target) == list(columns.offsets[1:] - 1)


def test_every_seed_is_measured_beside_the_untrained(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    command = ["--dataset", "beauty", "--data", str(data), "--seeds", "0", "1", "--json", str(out), *QUICK]
    assert main(command) == 0
    result = json.loads(out.read_text())
    assert [seed["seed"] for seed in result["seeds"]] == [0, 1]
    assert set(result["scores"]) == {"model", "network", "sequential_rules", "popularity"}
    by_hand = [seed["test"]["sequential_rules"]["ndcg@10"] for seed in result["seeds"]]
    assert result["scores"]["sequential_rules"]["ndcg@10"]["mean"] == pytest.approx(np.mean(by_hand))
    assert result["scores"]["sequential_rules"]["ndcg@10"]["mean"] > result["scores"]["popularity"]["ndcg@10"]["mean"]
    assert result["seeds"][0]["sequences_per_second"] > 0
    assert result["seeds"][0]["peak_memory_mb"] > 10
    assert result["command"].endswith(" ".join(command))
    assert table(result) in capsys.readouterr().out


def test_the_rules_are_those_of_a_count_by_hand(data: Path, tmp_path: Path) -> None:
    """With gap 1 and a window of 1 the rules rank by how often an item followed the last one."""
    out = tmp_path / "result.json"
    rules = ["rule_gap=1", "rule_window=1", "exclude_seen=false"]
    assert main(["--dataset", "ml-1m", "--data", str(data), "--seeds", "0", "--json", str(out), *QUICK, *rules]) == 0
    sequences = walks(120)
    item = np.array([code for items in sequences for code in items[:-2]])
    subject = np.repeat(np.arange(120), 10)
    counts = count_rules(item, subject, items=30, gap=1)
    hits = 0
    for items in sequences:
        successors, _ = counts.row(items[-2])
        hits += items[-1] - 1 in successors[:10]
    measured = json.loads(out.read_text())["scores"]["sequential_rules"]["hr@10"]["mean"]
    assert measured == pytest.approx(hits / 120, abs=0.05)


def test_torch_and_numpy_are_enough(data: Path) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); import runpy; sys.argv[0] = 'ml.benchmark'; "
    code += "runpy.run_module('ml.benchmark', run_name='__main__')"
    command = [sys.executable, "-c", code, "--dataset", "ml-1m", "--data", str(data), "--seeds", "0", *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "transformer mixed with rules" in done.stdout


def test_heads_are_measured_on_a_split_by_time(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "result.json"
    heads = {"next_type": {}, "churn": {"days": 0.001}}
    command = ["--dataset", "retailrocket-multibehavior", "--data", str(data), "--seeds", "0", "--json", str(out)]
    assert main([*command, *QUICK, f"prediction_heads={json.dumps(heads)}"]) == 0
    result = json.loads(out.read_text())
    assert result["protocol"].startswith("by time")
    assert set(result["heads"]["next_type"]) == {"model", "last_type", "base_rate"}
    assert result["heads"]["churn"]["base_rate"]["auc"]["mean"] == 0.5
    assert "| churn | auc | average_precision | log_loss | calibration_error |" in capsys.readouterr().out


def test_heads_need_times(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--dataset", "ml-1m", "--data", str(data), "--set", 'prediction_heads={"next_type": {}}']
    assert main(command) == 2
    assert "prediction_heads needs events with times" in capsys.readouterr().err


def test_a_missing_file_names_its_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingData, match="kang205/SASRec"):
        read("ml-1m", tmp_path / "nothing", tmp_path)
    assert main(["--dataset", "beauty", "--data", str(tmp_path)]) == 2
    assert "CIKM2020-S3Rec" in capsys.readouterr().err


def test_an_unknown_setting_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", "ml-1m", "--data", str(data), "--set", "dimensions=16"]) == 2
    assert "unknown settings dimensions" in capsys.readouterr().err
