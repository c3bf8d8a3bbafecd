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
from ml.benchmark.items import ml_1m_items
from ml.benchmark.speed import training_flops_per_event
from ml.data.item_features import ItemFeatures, value_codes
from ml.evaluation.rules import count_rules
from ml.nn.sequence_model import SequenceModel
from ml.tasks.config import NextItemConfig

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
    attributes = ["Nails&#39;R|Makeup|Nails" if item % 2 else "Hair Care|Brushes" for item in range(1, 31)]
    rows = [f"{item},A{item},{values}" for item, values in enumerate(attributes, start=1)]
    (folder / "amazon_beauty" / "items.csv").write_text("\n".join(["item_id,asin,attributes", *rows]))
    with gzip.open(folder / "ml-1m" / "sequences.csv.gz", "wt") as file:
        ratings = [f"{user},0,{item},{int(item) + 100},5,0" for user, item in (pair.split() for pair in pairs)]
        file.write("\n".join(["sas_user,orig_user,sas_item,orig_item,rating,pos", *ratings]))
    films = [f"{item + 100}\tCaf\u00e9 {item} ({1970 + item % 3})\tComedy|Drama" for item in range(1, 30)]
    (folder / "ml-1m" / "items.dat").write_text("\n".join(films), encoding="latin-1")
    sessions = folder / "retailrocket_sessions"
    with gzip.open(sessions / "train_sessions.txt.gz", "wt") as file:
        file.write("\n".join(" ".join(map(str, items)) for items in sequences))
    with gzip.open(sessions / "test_prefix_target.txt.gz", "wt") as file:
        file.write("\n".join(f"{' '.join(map(str, items[:-1]))}\t{items[-1]}" for items in walks(40, seed=1)))
    events = [
        f"{user},{item - 1},{'buy' if place % 3 == 2 else 'view'},{1_400_000_000 + 60 * place + user}"
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


def described(name: str, data: Path, tmp_path: Path) -> ItemFeatures:
    dataset = read(name, data, tmp_path)
    assert dataset.describe is not None
    return dataset.describe()


def values_of(features: ItemFeatures, item: int) -> list[tuple[str, str]]:
    pairs = list(value_codes(features.names))
    return [pairs[code] for code in features.code[features.offsets[item] : features.offsets[item + 1]]]


def test_a_brand_is_told_from_the_categories(data: Path, tmp_path: Path) -> None:
    features = described("beauty", data, tmp_path)
    assert values_of(features, 0) == [("brand", "Nails'R"), ("category", "Makeup"), ("category", "Nails")]
    assert values_of(features, 1) == [("category", "Hair Care"), ("category", "Brushes")]
    assert features.texts is not None
    assert features.texts[:2] == ["Nails'R Makeup Nails", "Hair Care Brushes"]


def test_films_are_found_by_their_original_ids(data: Path, tmp_path: Path) -> None:
    features = described("ml-1m", data, tmp_path)
    assert values_of(features, 1) == [("genre", "Comedy"), ("genre", "Drama"), ("year", "1972")]
    assert features.texts is not None
    assert features.texts[1] == "Caf\u00e9 2 (1972)"
    # The last film is not in the list.
    assert (values_of(features, 29), features.texts[29]) == ([], "")


def test_ratings_of_other_items_are_refused() -> None:
    ratings = ["sas_user,orig_user,sas_item,orig_item,rating,pos", "1,1,1,101,5,0"]
    with pytest.raises(ValueError, match="do not name the same items"):
        ml_1m_items(ratings, [], ["1", "2"])
    with pytest.raises(ValueError, match="two original ids"):
        ml_1m_items([*ratings, "1,1,1,102,5,1"], [], ["1"])


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


def test_the_next_buy_is_split_by_time_and_known_by_all_or_by_buys_alone(data: Path, tmp_path: Path) -> None:
    everything = read("retailrocket-buys", data, tmp_path / "everything")
    alone = read("retailrocket-buys-alone", data, tmp_path / "alone")
    columns, split = everything.columns, everything.split
    trained = np.concatenate([np.arange(a, b) for a, b in zip(split.train_start, split.train_end, strict=True)])
    assert split.validation_time is not None
    assert split.test_time is not None
    assert columns.time[trained].max() < split.validation_time <= columns.time[split.validation.target].min()
    assert columns.time[split.validation.target].max() < split.test_time <= columns.time[split.test.target].min()
    assert (columns.type[split.test.target] == columns.types.index("buy")).all()
    assert alone.columns.types == ["buy"]
    assert alone.columns.items == columns.items
    assert (alone.split.validation_time, alone.split.test_time) == (split.validation_time, split.test_time)
    assert list(alone.columns.item[alone.split.test.target]) == list(columns.item[split.test.target])
    assert (alone.split.test.target > alone.split.test.start).all()


def test_ratings_are_values_where_their_file_is_there(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "ml-1m"
    folder.mkdir(parents=True)
    pairs = [(user, item) for user, items in enumerate(walks(120), start=1) for item in items]
    with gzip.open(folder / "ml-1m.txt.gz", "wt") as file:
        file.write("\n".join(f"{user} {item}" for user, item in pairs))
    with gzip.open(folder / "sequences.csv.gz", "wt") as file:
        rows = (f"{user},{user},{item},{100 + item},{1 + item % 5},0" for user, item in pairs)
        file.write("\n".join(["sas_user,orig_user,sas_item,orig_item,rating,pos", *rows]))
    dataset = read("ml-1m", tmp_path / "data", tmp_path / "work")
    assert list(dataset.columns.value) == [1 + item % 5 for item in dataset.columns.item]


def test_ratings_of_other_events_are_refused(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ml-1m.txt.gz").write_bytes((data / "ml-1m" / "ml-1m.txt.gz").read_bytes())
    with gzip.open(folder / "sequences.csv.gz", "wt") as file:
        file.write("sas_user,orig_user,sas_item,orig_item,rating,pos\n1,1,1,1,5,0")
    with pytest.raises(ValueError, match="do not hold the same events"):
        read("ml-1m", tmp_path, tmp_path / "work")


def test_an_input_without_data_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", "beauty", "--data", str(data), "--seeds", "0", "--set", 'inputs=["value"]']) == 2
    assert "no values" in capsys.readouterr().err


def test_session_neighbours_stand_beside_the_sessions(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", "retailrocket-sessions", "--data", str(data), "--seeds", "0", *QUICK]) == 0
    assert "| session_neighbors |" in capsys.readouterr().out


def test_flops_are_those_of_a_count_by_hand() -> None:
    settings = NextItemConfig.from_dict({"dimension": 8, "layers": 2, "heads": 1, "inputs": [], "copying": False})
    model = SequenceModel(
        items=30,
        types=1,
        encoder="transformer",
        dimension=8,
        layers=2,
        heads=1,
        dropout=0.0,
        max_length=20,
        inputs=(),
        copying=False,
    )
    block = 3 * 8 * 8 + 8 * 8 + 2 * 4 * 8 * 8
    pooling = 3 * 8 * 8
    expected = 6 * (2 * block + pooling + 8 * 30 + 3 * 8 * 10)
    assert training_flops_per_event(model, settings, mean_length=10) == expected


def test_every_seed_is_measured_beside_the_untrained(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    command = ["--dataset", "beauty", "--data", str(data), "--seeds", "0", "1", "--json", str(out), *QUICK]
    assert main(command) == 0
    result = json.loads(out.read_text())
    assert [seed["seed"] for seed in result["seeds"]] == [0, 1]
    untrained = {"sequential_rules", "popularity", "session_neighbors", "untrained_mixture"}
    assert set(result["scores"]) == {"model", "network", *untrained}
    by_hand = [seed["test"]["sequential_rules"]["ndcg@10"] for seed in result["seeds"]]
    assert result["scores"]["sequential_rules"]["ndcg@10"]["mean"] == pytest.approx(np.mean(by_hand))
    assert result["scores"]["sequential_rules"]["ndcg@10"]["mean"] > result["scores"]["popularity"]["ndcg@10"]["mean"]
    assert result["seeds"][0]["sequences_per_second"] > 0
    assert result["seeds"][0]["peak_memory_mb"] > 10
    assert result["seeds"][0]["lists_per_second"] > 0
    assert 0 < result["seeds"][0]["share_of_peak"] < 1
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


def on_a_bare_machine(data: Path, dataset: str, inputs: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); import runpy; sys.argv[0] = 'ml.benchmark'; "
    code += "runpy.run_module('ml.benchmark', run_name='__main__')"
    command = [sys.executable, "-c", code, "--dataset", dataset, "--data", str(data), "--seeds", "0", *QUICK]
    return subprocess.run([*command, f"inputs={inputs}"], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("dataset", "inputs"), [("ml-1m", "[]"), ("beauty", '["attributes"]')])
def test_torch_and_numpy_are_enough(data: Path, dataset: str, inputs: str) -> None:
    done = on_a_bare_machine(data, dataset, inputs)
    assert done.returncode == 0, done.stderr
    assert "transformer mixed with rules" in done.stdout


def test_text_says_what_it_needs(data: Path) -> None:
    done = on_a_bare_machine(data, "beauty", '["text"]')
    assert done.returncode == 2
    assert "error: text needs transformers" in done.stderr


def test_text_is_one_setting_away(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    command = ["--dataset", "beauty", "--data", str(data), "--seeds", "0", "--json", str(out), *QUICK]
    assert main([*command, 'inputs=["attributes", "text"]']) == 0
    result = json.loads(out.read_text())
    assert result["settings"]["inputs"] == ["attributes", "text"]


def test_what_a_data_set_does_not_have_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--dataset", "retailrocket-sessions", "--data", str(data), "--seeds", "0", *QUICK]
    assert main([*command, 'inputs=["attributes"]']) == 2
    assert "no item attributes" in capsys.readouterr().err


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
