"""A model goes on learning: from an earlier one's weights, on what came since, without forgetting what was before."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ml.data.columns import EventColumns, write_columns
from ml.data.splits import count_before, global_time_split, window_cases
from ml.data.vocabulary import Vocabulary
from ml.evaluation.mixture import NEURAL
from ml.evaluation.ranking import ndcg
from ml.nn.sequence_model import SequenceModel
from ml.serving.artifact import Artifact
from ml.serving.scorer import Scorer
from ml.tasks.config import NextItemConfig
from ml.tasks.next_item_evaluation import CaseEvaluator
from ml.tasks.next_item_training import epoch_batches
from ml.tasks.registry import TASKS
from ml.training.progress import Progress
from ml.training.warm_start import WarmStart
from tests.ml.logs import TINY

TASK = TASKS["next_item"]


def ignore(_: Progress) -> None:
    """Nobody watches."""


def stepping_log(path: Path, *, later: float, shift: int, seed: int) -> EventColumns:
    """Subjects who always go from item i to item 7 i + shift, modulo the 40 items."""
    generator = np.random.default_rng(seed)
    items = [f"item-{code}" for code in range(40)]
    rows = []
    for subject in range(60):
        current, moment = int(generator.integers(len(items))), later + float(generator.uniform(0, 1e5))
        for _ in range(int(generator.integers(10, 30))):
            rows.append((subject, current + 1, moment))
            moment += float(generator.exponential(20_000))
            current = (current * 7 + shift) % len(items)
    subject, item, time = (np.array(column) for column in zip(*rows, strict=True))
    value = np.full(len(rows), np.nan)
    return write_columns(
        path,
        subject=subject,
        item=item,
        type=np.zeros(len(rows)),
        time=time,
        value=value,
        items=items,
        types=["view"],
    )


def test_known_items_keep_their_weights_when_the_catalogue_grows(artifact: Path) -> None:
    before = WarmStart.open(artifact)
    known = before.artifact.vocabulary
    grown = Vocabulary(["brand-new", *reversed(known.items)], [*known.types, "review"])
    arguments = {**before.artifact.network, "items": len(grown.items), "types": len(grown.types), "dropout": 0.4}
    before.check(arguments)
    model = SequenceModel(**arguments)
    fresh = model.embedding.item_table.weight[1].clone()
    before.load_into(model, grown)
    old = load_file(before.artifact.weights)
    for name in known.items:
        row, old_row = grown.item_codes[name], known.item_codes[name]
        assert torch.equal(model.embedding.item_table.weight[row], old["embedding.item_table.weight"][old_row])
        assert model.bias[row - 1] == old["bias"][old_row - 1]
    assert torch.equal(model.embedding.item_table.weight[1], fresh)
    unchanged = [name for name in old if not name.endswith("_table.weight") and name != "bias"]
    assert len(unchanged) > 10
    assert all(torch.equal(model.state_dict()[name], old[name]) for name in unchanged)


def test_another_network_is_refused_by_the_setting_that_differs(
    log: EventColumns, artifact: Path, tmp_path: Path
) -> None:
    config = {**TINY, "dimension": 16, "encoder": "lstm"}
    with pytest.raises(ValueError, match="encoder is 'lstm' here and 'transformer' there; dimension is 16 here and 32"):
        TASK.fit(log, config, tmp_path / "model", progress=ignore, initial=artifact)


def test_an_epoch_holds_the_new_windows_and_as_many_old_ones_as_are_replayed(log: EventColumns) -> None:
    split = global_time_split(log, validation_quantile=0.8, test_quantile=0.9)
    since = float(np.quantile(log.time, 0.6))
    fresh = split.train_start + count_before(log, since)
    row_of_subject = log.subject_of_events()

    def windows(**config: Any) -> tuple[int, int]:
        settings = NextItemConfig.from_dict({**TINY, **config})
        start, end = (
            np.concatenate(rows) for rows in zip(*epoch_batches(split, settings, 0, fresh=fresh), strict=True)
        )
        targets_from = fresh[row_of_subject[start]]
        return int((end >= targets_from).sum()), int((end < targets_from).sum())

    new, old = windows(replay=0.0)
    assert new > 0
    assert old == 0
    assert windows(replay=0.5) == (new, round(0.5 * new))


def network_alone(artifact: Path, log: EventColumns) -> float:
    """NDCG@10 on the newest tenth of a log, without the rules, which remember everything."""
    opened = Artifact.open(artifact)
    cases, _ = window_cases(log, start=float(np.quantile(log.time, 0.9)), end=np.inf, successive=True)
    evaluator = CaseEvaluator(log, opened.max_length, False, lambda: None)
    return float(ndcg(evaluator.ranks(cases, [NEURAL], Scorer.load(opened)), 10).mean())


@pytest.mark.parametrize("seed", [0, 1])
def test_replay_keeps_what_was_learned_while_new_habits_are_learned(tmp_path: Path, seed: int) -> None:
    """The new subjects step another way; without replay the old way is unlearned, with it both are known."""
    config = {**TINY, "epochs": 12, "patience": 12, "seed": seed, "inputs": [], "rule_gap": 1, "copying": False}
    old = stepping_log(tmp_path / "old", later=0.0, shift=3, seed=seed)
    TASK.fit(old, config, tmp_path / "first", progress=ignore)

    new = stepping_log(tmp_path / "new", later=1e7, shift=20, seed=seed + 10)
    both = write_columns(
        tmp_path / "both",
        subject=np.concatenate([old.subject_of_events(), 60 + new.subject_of_events()]),
        item=np.concatenate([old.item, new.item]),
        type=np.concatenate([old.type, new.type]),
        time=np.concatenate([old.time, new.time]),
        value=np.concatenate([old.value, new.value]),
        items=new.items,
        types=new.types,
    )
    reports, kept = {}, {}
    for replay in (0.0, 1.0):
        out = tmp_path / f"replay-{replay}"
        settings = {**config, "replay": replay, "validation_quantile": 0.9, "test_quantile": 0.95}
        reports[replay] = TASK.fit(both, settings, out, progress=ignore, initial=tmp_path / "first")
        kept[replay] = network_alone(out, old)
    assert 1.0 - kept[1.0] < 0.5 * (1.0 - kept[0.0])
    assert reports[1.0].score > 0.95


def test_a_search_trains_with_the_best_settings_and_reports_its_trials(log: EventColumns, tmp_path: Path) -> None:
    """No network learns at a rate of a billionth, so that the other one must win."""
    space = {"trials": 4, "space": {"learning_rate": [1e-9, 0.01]}}
    shown: list[Progress] = []
    report = TASK.fit(log, {**TINY, "epochs": 3, "search": space}, tmp_path / "model", progress=shown.append)
    assert len(report.trials) == 4
    rates = {trial["settings"]["learning_rate"]: trial["score"] for trial in report.trials}
    assert rates[0.01] > rates[1e-9]
    settings = json.loads((tmp_path / "model" / "config.json").read_text())["settings"]
    assert settings["learning_rate"] == 0.01
    assert shown[0].stage == "search"
    assert not [path for path in (tmp_path / "model").iterdir() if "trials" in path.name]

    plain = TASK.fit(log, {**TINY, "epochs": 3, "learning_rate": 0.01}, tmp_path / "plain", progress=ignore)
    assert plain.score == report.score


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"size": [1, 2]}, "search.space has unknown settings size"),
        ({"dropout": {"low": 0.0, "high": 1.5}}, "search.space.dropout holds 1.5; it must be at least 0 and below 1"),
        ({"encoder": ["lstm", "rnn"]}, "search.space.encoder holds 'rnn'; it must be one of"),
    ],
)
def test_values_that_no_run_could_use_are_not_searched(space: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NextItemConfig.from_dict({"search": {"space": space}})
