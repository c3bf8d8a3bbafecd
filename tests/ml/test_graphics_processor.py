"""Tasks on a graphics processor: what they store is asked on the CPU and as good as what the CPU trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ml.simulation.impressions import simulate_impressions
from ml.simulation.replies import simulate_replies
from ml.tasks.registry import TASKS
from tests.ml.test_intents import bank_texts
from tests.ml.test_risk import risky_log

SETTINGS = {
    "intents": {"least_steps": 20, "epochs": 1, "refit": False},
    "replies": {"epochs": 6, "pretrained": False, "refit": False},
    "click_rate": {"epochs": 3, "hidden": 32, "dimension": 8, "batch_size": 512, "averaging": 0.95},
    "risk": {"trees": 60, "tree_learning_rate": 0.1, "leaf_weight": 1.0, "dimension": 8, "epochs": 2, "max_length": 8},
}
DATA = {
    "intents": bank_texts,
    "replies": lambda: simulate_replies(2_000, generator=np.random.default_rng(1)),
    "click_rate": lambda: simulate_impressions(12_000, seed=1).log,
    "risk": risky_log,
}
AS_GOOD = 0.05


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics processor")
@pytest.mark.parametrize("task", SETTINGS)
def test_a_graphics_processor_trains_what_the_cpu_answers_with(task: str, tmp_path: Path) -> None:
    columns = DATA[task]()
    scores = {}
    for device in ("cpu", "cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        report = TASKS[task].fit(
            columns, SETTINGS[task] | {"device": device}, tmp_path / device, progress=lambda _: None
        )
        scores[device] = report.score
        used = torch.cuda.max_memory_allocated() > before
        assert used == (device == "cuda")
        assert TASKS[task].evaluate(tmp_path / device, columns, since=0.0, until=float("inf"))
    assert scores["cuda"] == pytest.approx(scores["cpu"], abs=AS_GOOD)
