"""Every encoder learns, and those that are made to be deep stay trainable when they are."""

from pathlib import Path

import pytest
import torch

from ml.data.columns import EventColumns
from ml.nn.encoders import ENCODERS
from ml.tasks.next_item_training import masked_targets
from ml.tasks.registry import TASKS
from tests.ml.logs import TINY


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_every_encoder_learns_a_small_log(log: EventColumns, tmp_path: Path, encoder: str) -> None:
    config = {**TINY, "encoder": encoder, "copying": False, "mask_share": 0.3}
    report = TASKS["next_item"].fit(log, config, tmp_path / "model", progress=lambda _: None)
    best = max(epoch["ndcg@10"] for epoch in report.curve)
    assert best > 2 * report.baselines["popularity"]


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_last_event_is_always_masked_and_the_given_share_of_the_others(share: float) -> None:
    torch.manual_seed(0)
    length = torch.full((2000,), 9)
    length[::2] = 4
    target = torch.randint(1, 5, (2000, 9)) * (torch.arange(9) < length[:, None])
    asked = masked_targets(target, length, share)
    rows = torch.arange(2000)
    assert torch.equal(asked[rows, length - 1], target[rows, length - 1])
    others = asked.clone()
    others[rows, length - 1] = 0
    possible = (target > 0).sum() - 2000
    # A tenth of the sequences mask the last event alone.
    assert float((others > 0).sum() / possible) == pytest.approx(0.9 * share, abs=0.02)
    assert ((asked == 0) | (asked == target)).all()
