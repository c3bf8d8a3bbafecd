"""What spoils a real log: bots and bad rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ml.simulation.catalogue import Catalogue
from ml.simulation.rows import iso_times, message_ids

BURST = 200
FLAWS = ("repeated", "sent_twice", "no_item", "outlier", "future", "ancient")


def bot_events(
    catalogue: Catalogue, *, bots: int, start: float, end: float, generator: np.random.Generator
) -> list[dict[str, Any]]:
    """Each bot views a stretch of the catalogue in its order, one item a second, in one burst."""
    events = []
    for bot in range(bots):
        begin = generator.uniform(start, max(start, end - BURST))
        times = iso_times(begin + np.arange(BURST) + generator.normal(scale=0.02, size=BURST))
        items = (int(generator.integers(len(catalogue.ids))) + np.arange(BURST)) % len(catalogue.ids)
        for message_id, time, item in zip(message_ids(BURST, generator), times, items, strict=True):
            events.append(
                {
                    "message_id": message_id,
                    "type": "view",
                    "subject": {"anonymous_id": f"a-bot-{bot + 1}", "session_id": f"s-bot-{bot + 1}"},
                    "item_id": catalogue.ids[item],
                    "value": None,
                    "quantity": None,
                    "currency": None,
                    "created_at": time,
                    "consent": {"personalisation": True, "training": True},
                    "properties": {"device": "desktop"},
                }
            )
    return events


def spoil(events: list[dict[str, Any]], *, rate: float, generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Pass the events on, each spoiled in one of the FLAWS with probability `rate`.

    A flaw that does not fit (an outlier where there is no value) leaves its event as it is, so fewer are spoiled.
    """
    flawed = (generator.random(len(events)) < rate).tolist()
    flaws = generator.integers(len(FLAWS), size=len(events)).tolist()
    for event, is_flawed, flaw in zip(events, flawed, flaws, strict=True):
        if is_flawed:
            yield from _spoil_one(event, FLAWS[flaw], generator)
        else:
            yield event


def _spoil_one(event: dict[str, Any], flaw: str, generator: np.random.Generator) -> list[dict[str, Any]]:
    year, rest = int(event["created_at"][:4]), event["created_at"][4:]
    match flaw:
        case "repeated":
            return [event, event]
        case "sent_twice":
            return [event, event | {"message_id": message_ids(1, generator)[0]}]
        case "no_item" if event["type"] == "view":
            return [event | {"item_id": None}]
        case "outlier" if event["value"] is not None:
            return [event | {"value": round(event["value"] * 10_000, 2)}]
        # 28 years keep the calendar the same, so that 29 February stays a date.
        case "future":
            return [event | {"created_at": f"{year + 28}{rest}"}]
        case "ancient":
            return [event | {"created_at": f"{year - 56}{rest}"}]
    return [event]
