"""What is known about the items beside their ids: attributes such as brand and category, and text embeddings."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

FILE = "item_features.safetensors"

# Per item one value, several, or none.
AttributeColumn = Sequence[str | Sequence[str] | None]


@dataclass(frozen=True)
class ItemFeatures:
    """Row j describes item j (0-based).

    names holds the values of each attribute; a value's code is its place in all of them, one attribute after another.
    Item j has the codes code[offsets[j]] to code[offsets[j + 1] - 1]. text is (items, text dimension) float16 or
    float32, or None; a row of zeros means that an item has no text. texts holds the words themselves for a text
    encoder, "" where an item has none, or is None.
    """

    names: dict[str, list[str]]
    offsets: NDArray[np.int64]
    code: NDArray[np.int64]
    text: NDArray | None
    texts: list[str] | None = None

    @classmethod
    def build(
        cls,
        *,
        items: int,
        attributes: Mapping[str, AttributeColumn] | None = None,
        text: ArrayLike | None = None,
        texts: Sequence[str] | None = None,
    ) -> "ItemFeatures":
        """Raises ValueError where something has not one entry per item, or the text is not finite."""
        if texts is not None:
            _check_rows("texts", len(texts), items)
        listed = {name: _listed(name, column, items) for name, column in (attributes or {}).items()}
        names = {name: sorted({value for row in rows for value in row}) for name, rows in listed.items()}
        place = value_codes(names)
        rows = [[place[name, value] for name in listed for value in listed[name][item]] for item in range(items)]
        return cls(
            names=names,
            offsets=np.cumsum([0, *map(len, rows)], dtype=np.int64),
            code=np.array([code for row in rows for code in row], dtype=np.int64),
            text=None if text is None else _checked_text(text, items),
            texts=None if texts is None else list(texts),
        )

    @classmethod
    def open(cls, path: Path) -> "ItemFeatures | None":
        """The features in the folder of a log or of an artifact; None where it has none."""
        file = Path(path) / FILE
        if not file.exists():
            return None
        from safetensors import safe_open  # not at the top: logs without features are read where it is missing

        with safe_open(file, framework="numpy") as stored:
            names = json.loads(stored.metadata()["names"])
            text = stored.get_tensor("text") if "text" in stored.keys() else None  # noqa: SIM118 it is no dict
            texts = _unpacked(stored.get_tensor("texts")) if "texts" in stored.keys() else None  # noqa: SIM118
            return cls(names, stored.get_tensor("offsets"), stored.get_tensor("code"), text, texts)

    def save(self, path: Path) -> None:
        """Write into the folder `path`; the file is there whole or not at all."""
        from safetensors.numpy import save_file

        arrays: dict[str, NDArray] = {"offsets": self.offsets, "code": self.code}
        if self.text is not None:
            arrays["text"] = np.ascontiguousarray(self.text)
        if self.texts is not None:
            arrays["texts"] = _packed(self.texts)
        partial = Path(path) / f"{FILE}.partial"
        save_file(arrays, partial, metadata={"names": json.dumps(self.names)})
        os.replace(partial, Path(path) / FILE)

    @property
    def items(self) -> int:
        return len(self.offsets) - 1

    @property
    def values(self) -> int:
        """How many attribute values there are, over all attributes."""
        return sum(map(len, self.names.values()))

    @property
    def text_dimension(self) -> int:
        return 0 if self.text is None else self.text.shape[1]

    def weights(self) -> NDArray[np.float32]:
        """1 / (the item's values of that attribute) for each entry of `code`, so that every attribute counts once."""
        bounds = np.cumsum([len(values) for values in self.names.values()])
        item = np.repeat(np.arange(self.items), np.diff(self.offsets))
        group = item * max(1, len(bounds)) + np.searchsorted(bounds, self.code, side="right")
        _, inverse, count = np.unique(group, return_inverse=True, return_counts=True)
        return (1.0 / count[inverse]).astype(np.float32)

    def recode(self, names: dict[str, list[str]]) -> "ItemFeatures":
        """The same items in the codes of `names`, which a model was trained with; values it does not know are left
        out."""
        known = value_codes(names)
        code = np.array([known.get(value, -1) for value in value_codes(self.names)], dtype=np.int64)[self.code]
        kept = np.concatenate([[0], np.cumsum(code >= 0)])
        return ItemFeatures(names, kept[self.offsets], code[code >= 0], self.text)

    def extend(self, more: "ItemFeatures") -> "ItemFeatures":
        """These items, then those of `more`, with what is known of these: attribute values, and text or none.

        Raises ValueError where their texts are of different dimension.
        """
        if self.text is not None and self.text_dimension != more.text_dimension:
            raise ValueError(
                f"text has dimension {more.text_dimension} where the model's items have {self.text_dimension}; "
                "encode it with the same text encoder"
            )
        added = more.recode(self.names)
        return ItemFeatures(
            names=self.names,
            offsets=np.concatenate([self.offsets, self.offsets[-1] + added.offsets[1:]]),
            code=np.concatenate([self.code, added.code]),
            text=None if self.text is None else np.concatenate([self.text, np.asarray(more.text, self.text.dtype)]),
        )


def write_item_features(
    path: Path,
    *,
    items: Sequence[str],
    attributes: Mapping[str, AttributeColumn] | None = None,
    text: ArrayLike | None = None,
    texts: Sequence[str] | None = None,
) -> ItemFeatures:
    """Write features beside the columns in the folder `path`, matched by item id.

    attributes gives per item one value, several or None; text one row per item, or texts the words for a text encoder.
    Items that the log does not know are left out; items of the log that are not among `items` have no attributes and
    no text. Raises FileNotFoundError where there are no columns, ValueError where the features do not fit the items.
    """
    path = Path(path)
    in_log = json.loads((path / "names.json").read_text(encoding="utf-8"))["items"]
    row = {name: number for number, name in enumerate(items)}
    if len(row) != len(items):
        raise ValueError(f"items holds {len(items) - len(row)} ids twice; give each item once")
    for name, column in (attributes or {}).items():
        _check_rows(name, len(column), len(items))
    matched = [row.get(name) for name in in_log]
    ordered = {
        name: [None if number is None else column[number] for number in matched]
        for name, column in (attributes or {}).items()
    }
    ordered_text = None
    if text is not None:
        given = _checked_text(text, len(items))
        ordered_text = np.zeros((len(in_log), given.shape[1]), dtype=given.dtype)
        found = [place for place, number in enumerate(matched) if number is not None]
        ordered_text[found] = given[[number for number in matched if number is not None]]
    ordered_texts = None
    if texts is not None:
        _check_rows("texts", len(texts), len(items))
        ordered_texts = ["" if number is None else texts[number] for number in matched]
    features = ItemFeatures.build(items=len(in_log), attributes=ordered, text=ordered_text, texts=ordered_texts)
    features.save(path)
    return features


def value_codes(names: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], int]:
    """The code of each (attribute, value), in code order."""
    pairs = ((name, value) for name, values in names.items() for value in values)
    return {pair: code for code, pair in enumerate(pairs)}


def _listed(name: str, column: AttributeColumn, items: int) -> list[list[str]]:
    _check_rows(name, len(column), items)
    return [[] if row is None else [row] if isinstance(row, str) else list(dict.fromkeys(row)) for row in column]


def _packed(texts: Sequence[str]) -> NDArray[np.uint8]:
    # A header of safetensors is too small for a catalogue's words.
    return np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8)


def _unpacked(packed: NDArray[np.uint8]) -> list[str]:
    texts: list[str] = json.loads(packed.tobytes())
    return texts


def _checked_text(text: ArrayLike, items: int) -> NDArray:
    given = np.asarray(text)
    if given.ndim != 2:
        raise ValueError(f"text has shape {given.shape}; give one embedding per item, (items, text dimension)")
    _check_rows("text", len(given), items)
    if not np.isfinite(given).all():
        raise ValueError("text must be finite; give a row of zeros to an item without text")
    return given if given.dtype in (np.float16, np.float32) else given.astype(np.float32)


def _check_rows(name: str, rows: int, items: int) -> None:
    if rows != items:
        raise ValueError(f"{name} has {rows} rows where there are {items} items; give one per item")
