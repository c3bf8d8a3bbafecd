"""What the catalogue says of the log's items, written beside a snapshot for the engine."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalog.selectors import ItemDescription, describe_items
from ml.data.columns import EventColumns
from ml.data.item_features import write_item_features
from serving import engine

# A value that no other item has says no more than the item's id does.
LEAST_ITEMS = 2


def write(snapshot: Path) -> None:
    """Attributes and texts of the snapshot's items, in one pass over the catalogue; nothing where it knows none."""
    wanted = set(json.loads((snapshot / "names.json").read_text(encoding="utf-8"))["items"])
    items = [item for item in describe_items() if item.item_id in wanted]
    if items:
        write_item_features(
            snapshot,
            items=[item.item_id for item in items],
            attributes=attribute_columns(items, least_items=LEAST_ITEMS),
            texts=[item.text for item in items],
        )


def attribute_columns(items: Sequence[ItemDescription], *, least_items: int = 1) -> dict[str, list[list[str]]]:
    """Per attribute each item's values, without those that fewer than `least_items` of the items have."""
    count = Counter(
        (name, value) for item in items for name, values in item.attributes.items() for value in set(values)
    )
    names = sorted({name for (name, _), items_with in count.items() if items_with >= least_items})
    return {
        name: [
            [value for value in item.attributes.get(name, ()) if count[name, value] >= least_items] for item in items
        ]
        for name in names
    }


def with_inputs(config: dict[str, Any], columns: EventColumns, initial: Path | None) -> dict[str, Any]:
    """The configuration with its inputs decided, where it does not say: attributes too where the catalogue has some.

    A warm start reads what the model reads that it goes on from.
    """
    if "inputs" in config:
        return config
    if initial is not None:
        network = json.loads((initial / "config.json").read_text(encoding="utf-8"))["network"]
        return {**config, "inputs": network["inputs"]}
    features = columns.features()
    if features is None or not features.values:
        return config
    return {**config, "inputs": [*engine.usual_inputs(), "attributes"]}
