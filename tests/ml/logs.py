"""A small log with a pattern in it, and settings that learn it in seconds."""

from pathlib import Path

import numpy as np

from ml.data.columns import EventColumns, write_columns

# Small enough to train in a few seconds, on a log whose next item mostly follows from the last one.
TINY = {"dimension": 32, "layers": 1, "heads": 2, "max_length": 12, "batch_tokens": 256, "epochs": 25}
TINY |= {"learning_rate": 0.01, "dropout": 0.1, "threads": 1}


def make_log(path: Path, *, subjects: int = 80, items: int = 40, seed: int = 0) -> EventColumns:
    """After a view of item i mostly comes 7 i + 3 (modulo the items), after a purchase i + 20; some repeat, some are
    random. Rules see items only, so that a network which reads event types has something to add."""
    generator = np.random.default_rng(seed)
    subject, item, event_type, time = [], [], [], []
    for number in range(subjects):
        current = int(generator.integers(items))
        moment = float(generator.uniform(0, 1e6))
        for _ in range(int(generator.integers(5, 40))):
            subject.append(number)
            item.append(current + 1)
            event_type.append(int(generator.random() < 0.3))
            time.append(moment)
            moment += float(generator.exponential(20_000))
            fate = generator.random()
            if fate < 0.8:
                current = (current + 20 if event_type[-1] else 7 * current + 3) % items
            elif fate < 0.9:
                current = int(generator.integers(items))
    value = np.where(generator.random(len(item)) < 0.5, np.nan, generator.uniform(1, 100, len(item)))
    return write_columns(
        path,
        subject=subject,
        item=item,
        type=event_type,
        time=time,
        value=value,
        items=[f"item-{code}" for code in range(items)],
        types=["view", "purchase"],
    )
