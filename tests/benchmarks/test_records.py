"""From frozen configurations to records, and from records to the page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.benchmark.datasets import DATASETS
from ml.evaluation.ranking import ranking_metrics
from tests.benchmarks import configurations, recsys
from tests.benchmarks.peers.environments import RECTOOLS, REPLAY
from tests.benchmarks.records import DOCS, cell, is_met, page, write_records
from tests.benchmarks.recsys import gain, scores
from tests.benchmarks.runner import Runner
from tests.benchmarks.sections import SECTIONS, section_of
from tests.benchmarks.speed import list_ranks, speed_records, write_sequences

QUICK = {"dimension": 8, "layers": 1, "heads": 1, "epochs": 1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Amazon Beauty's format: users who walk from item to item of 20."""
    folder = tmp_path / "data" / "recsys" / "amazon_beauty"
    folder.mkdir(parents=True)
    lines = [f"{user} " + " ".join(str(1 + (user + step) % 20) for step in range(8)) for user in range(1, 61)]
    (folder / "Beauty.txt").write_text("\n".join(lines))
    return tmp_path / "data"


def frozen(folder: Path, name: str = "tiny", **changes: Any) -> configurations.Configuration:
    content = {
        "kind": "scores",
        "dataset": "beauty",
        "model": "gru",
        "settings": QUICK,
        "budget_minutes": 1,
        "seeds": [0, 1],
        "records": {"recsys.tiny.ndcg10": {"metric": "ndcg@10", "parity": 0.5, "aim": ">= 2"}},
        **changes,
    }
    (folder / f"{name}.json").write_text(
        json.dumps({key: value for key, value in content.items() if value is not None})
    )
    return configurations.load(name, folder)


def result(*by_seed: float, rules: float = 0.1, network: float = 0.2) -> dict[str, Any]:
    """What `python -m ml.benchmark --json` writes, as far as records need it."""
    seeds = [{"test": {"model": {"ndcg@10": score}}} for score in by_seed]
    means = {"model": float(np.mean(by_seed)), "sequential_rules": rules, "popularity": 0.01, "network": network}
    return {
        "counts": {"test_cases": 7, "items": 20},
        "machine": {"processor": "Some CPU", "threads": 2, "gpu": None},
        "scores": {name: {"ndcg@10": {"mean": mean}} for name, mean in means.items()},
        "seeds": seeds,
    }


@pytest.mark.parametrize("name", configurations.names())
def test_every_frozen_configuration_is_one_that_can_be_run(name: str) -> None:
    configuration = configurations.load(name)
    assert configuration.kind in recsys.KINDS
    assert list(configuration.runs())
    assert len(set(configuration.seeds)) == len(configuration.seeds) > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "score"}, "kind must be one of"),
        ({"records": None}, "missing records"),
        ({"note": "fast"}, "unknown note"),
        ({"dataset": "beauties"}, "unknown dataset beauties"),
        ({"settings": {"dimensions": 64}}, "unknown settings dimensions"),
    ],
)
def test_a_configuration_at_fault_says_what_is_wrong(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"tiny.json: .*{said}"):
        frozen(tmp_path, **changes)


def test_the_page_is_what_the_records_make() -> None:
    records = json.loads((DOCS / "benchmarks.json").read_text())
    assert (DOCS / "benchmarks.md").read_text() == page(records)


def test_a_record_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    write_records([{"id": "train.a", "value": 1.0}, {"id": "ingest.b", "value": 2.0, "detail": {"rows": 3}}], tmp_path)
    write_records([{"id": "train.a", "value": 4.0, "command": "python -m tests.benchmarks"}], tmp_path)
    records = json.loads((tmp_path / "benchmarks.json").read_text())
    assert [(record["id"], record["value"]) for record in records] == [("ingest.b", 2.0), ("train.a", 4.0)]
    written = (tmp_path / "benchmarks.md").read_text()
    assert (
        written.index("## Training and scoring speed") < written.index("| train.a | 4 |") < written.index("## Ingest")
    )
    assert "- `ingest.b`: rows 3" in written
    assert "| train.a | `python -m tests.benchmarks` |" in written


def test_a_record_belongs_to_the_section_with_its_longest_prefix() -> None:
    ids = ["recsys.ml-1m.ndcg10", "recsys.ablation.beauty.text", "serve.rank200.p99_ms", "ads.frappe.auc", "new.figure"]
    assert [section_of(name).title for name in ids] == [
        "Recommendation quality",
        "Ablations",
        "Serving",
        "Click rates",
        "Others",
    ]
    assert len({section.title for section in SECTIONS}) == len(SECTIONS)


@pytest.mark.parametrize(
    ("aim", "value", "met"),
    [
        (">= 0.195", 0.195, True),
        (">= 0.195", 0.19, False),
        ("<= 25 ms", 24.0, True),
        ("<= 25 ms", 25.1, False),
        (">= 1.05 x peer", 0.22, True),
        (">= 1.05 x peer", 0.205, False),
        (">= 78, 119", [78, 120], True),
        (">= 78, 119", [79, 118], False),
    ],
)
def test_a_missed_aim_is_marked(aim: str, value: float | list[int], met: bool) -> None:
    record = {"id": "x", "value": value, "aim": aim, "peer": {"name": "V-STAN", "value": 0.2}}
    assert is_met(record) == met
    assert cell(record, "aim") == f"{aim}: {'met' if met else '**short of the aim**'}"


def test_an_aim_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="x: the aim 'fast' must start like"):
        is_met({"id": "x", "value": 1.0, "aim": "fast"})


def test_a_configuration_becomes_records_of_a_real_run(data: Path, tmp_path: Path) -> None:
    run = Runner(data / "recsys", tmp_path / "kept", commit="abc")
    (record,) = scores(frozen(tmp_path), run)
    assert record["id"] == "recsys.tiny.ndcg10"
    assert record["seeds"] == 2
    assert 0 < record["value"] <= 1
    assert record["floor"] > 0.9, "a walk is what sequential rules know"
    assert (record["parity"], record["aim"]) == (0.5, ">= 2")
    assert not is_met(record)
    assert record["detail"]["epochs"] == 1
    assert record["machine"].endswith("threads, no GPU")


def test_a_failed_configuration_leaves_the_others_their_records(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    # The first one asks for what these files do not have.
    frozen(folder, "a-fails", settings={**QUICK, "inputs": ["value"]})
    frozen(folder, "b-runs", seeds=[0])
    monkeypatch.setattr(configurations, "names", lambda: ["a-fails", "b-runs"])
    monkeypatch.setattr(configurations, "load", lambda name, load=configurations.load: load(name, folder))
    monkeypatch.setattr(recsys, "HOME", tmp_path)
    measured = recsys.measure(data=data, full=False)
    record = next(measured)
    assert record["config"] == "tests/benchmarks/configs/b-runs.json"
    assert record["command"] == "python -m tests.benchmarks --only recsys --config b-runs --data DIR"
    with pytest.raises(SystemExit, match="failed: a-fails"):
        next(measured)
    assert "a-fails failed" in capsys.readouterr().err
    assert not (tmp_path / "benchmarks" / "b-runs").exists(), "what is done is not kept"


def test_an_interrupted_command_goes_on_where_it_stopped(tmp_path: Path) -> None:
    measured: list[str] = []

    def measure() -> dict[str, Any]:
        measured.append("again")
        return {"score": len(measured)}

    clean, dirty = Runner(tmp_path, tmp_path / "kept", "abc"), Runner(tmp_path, tmp_path / "kept", "abc-dirty")
    assert [clean.keep("seed 0", measure)["score"] for _ in range(2)] == [1, 1]
    assert clean.keep("seed 1", measure)["score"] == 2
    assert [dirty.keep("seed 0", measure)["score"] for _ in range(2)] == [3, 4], "other code, other results"


def test_the_gain_is_taken_seed_by_seed(tmp_path: Path) -> None:
    configuration = frozen(
        tmp_path,
        kind="gain",
        records=None,
        metric="ndcg@10",
        record="recsys.gain",
        aim=">= 0.1",
        against={"model": "lstm"},
    )
    results = {"gru": result(0.3, 0.2, rules=0.25), "lstm": result(0.2, 0.1)}
    (record,) = gain(configuration, lambda run: results[run.model])
    assert record["value"] == pytest.approx((0.5 + 1.0) / 2)
    assert record["spread"] == pytest.approx(np.std([0.5, 1.0], ddof=1))
    assert record["floor"] == pytest.approx(0.25 / 0.15 - 1)
    other = {**results["lstm"], "counts": {"test_cases": 8, "items": 20}}
    with pytest.raises(ValueError, match="compares different cases"):
        list(gain(configuration, lambda run: other if run.model == "lstm" else results["gru"]))


def test_speed_is_a_ratio_of_each_round() -> None:
    rates = {"sequences_per_second": 600.0, "lists_per_second": 50.0, "predictions_per_second": 20.0}
    rates |= {"one_user_p50_ms": 1.0, "one_user_p99_ms": 2.0, "peak_memory_mb": 900.0}
    rates |= {"events_per_second": 1e4, "share_of_peak": 0.3, "flops_per_event": 2e6, "peak_flops": 1e11}
    ours = [{**result(0.1), "seeds": [rates]}, {**result(0.1), "seeds": [{**rates, "sequences_per_second": 800.0}]}]
    peer = {"sequences_per_second": 100.0, "users_per_second": 10.0, "peak_memory_mb": 1000.0}
    peer |= {"one_user_p50_ms": 8.0, "one_user_p99_ms": 9.0}
    theirs = {RECTOOLS.key: [peer, peer], REPLAY.key: [{**peer, "peak_memory_mb": 950.0}] * 2}
    aims = {"train.speed_vs_rectools": ">= 6", "train.peak_memory_mb": "<= 1 x peer"}
    records = {record["id"]: record for record in speed_records(ours, theirs, aims)}
    assert records["train.speed_vs_rectools"]["value"] == 7.0
    assert records["train.speed_vs_rectools"]["spread"] == pytest.approx(np.sqrt(2))
    assert records["train.speed_vs_rectools"]["peer"] == {"name": "RecTools 0.19.0 SASRec", "value": 100.0}
    assert records["score.speed_vs_rectools"]["value"] == 5.0
    assert records["train.peak_memory_mb"]["peer"] == {"name": "RePlay 0.22.0 SASRec", "value": 950.0}
    assert is_met(records["train.peak_memory_mb"])
    assert records["train.tokens_per_s"]["detail"]["share_of_peak"] == 0.3


def test_a_peer_sees_the_training_part_and_is_judged_on_the_last_item(data: Path, tmp_path: Path) -> None:
    dataset = DATASETS["beauty"](data / "recsys", tmp_path / "dataset")
    write_sequences(dataset, tmp_path / "sequences.npz")
    with np.load(tmp_path / "sequences.npz") as given:
        first = given["train_item"][given["train_subject"] == 0]
        history = given["history_item"][given["history_subject"] == 0]
        assert list(first) == [2, 3, 4, 5, 6, 7]
        assert list(history) == [*first, 8]
        assert list(given["subjects"]) == list(range(60))
    target = dataset.columns.item[dataset.split.test.target]
    lists = np.zeros((60, 10), dtype=np.int64)
    lists[:30, 1] = target[:30]
    assert ranking_metrics(list_ranks(dataset, lists))["hr@10"] == 0.5
    assert ranking_metrics(list_ranks(dataset, lists))["mrr@10"] == 0.25
