"""A shop whose subjects have one of two tastes, and a model that has learnt them."""

from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone

from behavior.services import store_events
from ml.data.columns import write_columns
from ml.tasks.registry import TASKS

ITEMS = [f"item-{number:02d}" for number in range(12)]
# Campers look at the first six, climbers at the others.
OF_TASTE = 6
TINY = {"epochs": 3, "dimension": 16, "layers": 1, "heads": 1, "max_length": 10, "seed": 1, "threads": 1}


def train(folder: Path) -> Path:
    """The artifact of a model of the next item, learnt from 120 subjects of both tastes."""
    generator = np.random.default_rng(0)
    subjects, length = 120, 12
    item = generator.integers(0, OF_TASTE, (subjects, length)) + OF_TASTE * (np.arange(subjects) % 2)[:, None]
    columns = write_columns(
        folder / "columns",
        subject=np.repeat(np.arange(subjects), length),
        item=item.ravel() + 1,
        type=np.zeros(subjects * length, dtype=int),
        time=1_700_000_000 + 3600.0 * np.tile(np.arange(length), subjects) + generator.random(subjects * length),
        value=np.full(subjects * length, np.nan),
        items=ITEMS,
        types=["view"],
    )
    TASKS["next_item"].fit(columns, TINY, folder / "artifact", progress=lambda progress: None)
    return folder / "artifact"


def event(user: str, number: int, **values: Any) -> dict[str, Any]:
    """The number-th of a user's events, an hour apart, the 30th now."""
    return {
        "message_id": f"{user}-{number}-{values.get('type', 'view')}",
        "type": "view",
        "subject": {"user_id": user},
        "created_at": timezone.now().timestamp() - 3600.0 * (30 - number),
    } | values


def views(user: str, taste: int, count: int = 6, **values: Any) -> list[dict[str, Any]]:
    generator = np.random.default_rng([taste, *user.encode()])
    items = generator.integers(0, OF_TASTE, count) + OF_TASTE * taste
    return [event(user, number, item_id=ITEMS[item], **values) for number, item in enumerate(items)]


def fill_log(*, campers: int = 150, climbers: int = 150, subscribed: int = 40) -> None:
    """Users camper-0 on and climber-0 on; the first campers have subscribed after they had looked around."""
    events = [each for number in range(campers) for each in views(f"camper-{number}", 0)]
    events += [each for number in range(climbers) for each in views(f"climber-{number}", 1)]
    events += [event(f"camper-{number}", 20, type="subscribe") for number in range(subscribed)]
    for start in range(0, len(events), 1_000):
        counts = store_events(events=events[start : start + 1_000], source="test").counts
        assert counts["ok"] == sum(counts.values()), counts
