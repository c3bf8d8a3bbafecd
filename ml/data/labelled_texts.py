"""Texts with their intents, the script that a text is written in, and how texts are held out."""

import json
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

# By the first word of a letter's name in Unicode. Kana and hangul come before the Chinese characters beside them.
LANGUAGES = {"HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh", "LATIN": "en"}
OTHER = "other"
FILE = "texts.json"


@dataclass(frozen=True)
class LabelledTexts:
    """Texts of one tenant; label None says that a text is out of scope.

    `held_out` marks the texts that choose and judge instead of training; None lets the task draw them.
    """

    texts: list[str]
    labels: list[str | None]
    held_out: list[bool] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.texts), len(self.labels), len(self.texts if self.held_out is None else self.held_out)}
        if len(lengths) > 1:
            raise ValueError("texts, labels and held_out must be of one length")

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Raises FileNotFoundError where nothing was written."""
        return cls(**json.loads((Path(path) / FILE).read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        (path / FILE).write_text(json.dumps(vars(self), ensure_ascii=False), encoding="utf-8")

    @property
    def intents(self) -> list[str]:
        """In code order."""
        return sorted({label for label in self.labels if label is not None})

    def codes(self) -> Rows:
        """(texts,) indices into `intents`, -1 for out of scope."""
        code = {name: number for number, name in enumerate(self.intents)}
        return np.array([-1 if label is None else code[label] for label in self.labels], dtype=np.int64)

    def split(self, share: float, seed: int) -> tuple[Rows, Rows]:
        """Training rows and held-out rows: as marked, or that share of each intent's texts, rounded, but never all."""
        if self.held_out is not None:
            marked = np.array(self.held_out, dtype=bool)
            return np.flatnonzero(~marked), np.flatnonzero(marked)
        generator = np.random.default_rng(seed)
        held = np.zeros(len(self), dtype=bool)
        codes = self.codes()
        for code in np.unique(codes):
            rows = generator.permutation(np.flatnonzero(codes == code))
            held[rows[: min(round(share * len(rows)), len(rows) - 1)]] = True
        return np.flatnonzero(~held), np.flatnonzero(held)


def language_of(text: str) -> str:
    """A guess by script alone: zh, ja, ko, en for Latin letters of any language, other for other letters or none.

    Chinese, Japanese and Korean lead where they are at least a third of the letters: one of their characters says as
    much as a few Latin letters, and names of products are often Latin.
    """
    counts = Counter(_language_of_letter(letter) for letter in text if letter.isalpha())
    if not counts:
        return OTHER
    asian = counts["ja"] + counts["ko"] + counts["zh"]
    if 3 * asian >= counts.total():
        # Japanese is written with Chinese characters too; a fifth of kana is enough to tell it.
        return max(("ja", "ko", "zh"), key=lambda name: counts[name] * (4 if name == "ja" else 1))
    return counts.most_common(1)[0][0]


def _language_of_letter(letter: str) -> str:
    words = unicodedata.name(letter, "").split(" ", 1)
    return LANGUAGES.get(words[0], OTHER)
