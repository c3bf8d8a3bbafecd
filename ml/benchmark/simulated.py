"""The demonstration's shop as a data set: what `manage.py demo` sends, without its spoiled rows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ml.data.columns import EventColumns, write_columns
from ml.simulation import World, WorldConfig

END = datetime(2026, 3, 1, tzinfo=UTC)
# What the recommendation's scenarios leave out of the sequence.
NOT_READ = {"impression", "remove_from_cart"}


def outdoor_shop(work: Path) -> EventColumns:
    """The outdoor shop's events with an item, but for shown ones, in columns."""
    world = World(WorldConfig.outdoor(), seed=1)
    code = {item_id: number for number, item_id in enumerate(world.item_ids, start=1)}
    subjects = {subject_id: number for number, subject_id in enumerate(world.subject_ids)}
    rows = [row for event in world.events(end=END) if (row := _row(event, subjects, code)) is not None]
    types = sorted({row[2] for row in rows})
    subject, item, type_name, time = zip(*rows, strict=True)
    return write_columns(
        work / "columns",
        subject=np.array(subject),
        item=np.array(item),
        type=np.array([types.index(name) for name in type_name]),
        time=np.array(time),
        value=np.full(len(rows), np.nan),
        items=world.item_ids,
        types=types,
    )


def _row(event: dict[str, Any], subjects: dict[str, int], code: dict[str, int]) -> tuple[int, int, str, float] | None:
    """Subject, item, type and time; None for what a log would refuse, or a sequence leave out."""
    who = event.get("subject") or {}
    subject = subjects.get(who.get("user_id") or who.get("anonymous_id") or "")
    item, name, created = code.get(event.get("item_id") or ""), event.get("type"), event.get("created_at") or ""
    if subject is None or item is None or not name or name in NOT_READ or not "2020" < created < END.isoformat():
        return None
    return subject, item, name, datetime.fromisoformat(created).timestamp()
