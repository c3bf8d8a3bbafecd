"""Names of items and event types, and their codes."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.data.columns import EventColumns

UNKNOWN_TYPE = 0


@dataclass(frozen=True)
class Vocabulary:
    """Codes of a model. Item code 0 means "no item" and type code 0 "unknown type"; real names start at 1."""

    items: list[str]
    types: list[str]
    item_codes: dict[str, int] = field(init=False, repr=False, compare=False)
    type_codes: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "item_codes", {name: code for code, name in enumerate(self.items, start=1)})
        object.__setattr__(self, "type_codes", {name: code for code, name in enumerate(self.types, start=1)})

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        names = json.loads(path.read_text(encoding="utf-8"))
        return cls(items=names["items"], types=names["types"])

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"items": self.items, "types": self.types}), encoding="utf-8")

    def known_items(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Codes of the items among `names` that are known, in their order; the others are left out."""
        codes = (self.item_codes.get(name) for name in names)
        return np.array([code for code in codes if code is not None], dtype=np.int64)

    @property
    def nbytes(self) -> int:
        """An estimate of the memory that the names take, in bytes: string, list slot and dictionary slot."""
        names = self.items + self.types
        return sum(len(name) for name in names) + 150 * len(names)


def recode(columns: EventColumns, vocabulary: Vocabulary) -> EventColumns:
    """The log in a model's codes; an item that the model does not know becomes "no item"."""
    item_codes = np.array([0, *(vocabulary.item_codes.get(name, 0) for name in columns.items)], dtype=np.int32)
    # Batches shift type codes by one, so that -1 becomes 0, the unknown type.
    type_codes = np.array([vocabulary.type_codes.get(name, 0) - 1 for name in columns.types], dtype=np.int16)
    return replace(
        columns,
        item=item_codes[columns.item],
        type=type_codes[columns.type],
        items=vocabulary.items,
        types=vocabulary.types,
    )
