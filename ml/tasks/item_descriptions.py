"""What a run knows of the items beside their ids: attributes, and texts by way of the text encoder."""

import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.data.columns import EventColumns
from ml.data.item_features import ItemFeatures
from ml.data.splits import Split
from ml.data.text_cache import TextCache
from ml.nn.text_encoder import TextEncoder, encoder_name, pretrained_encoder
from ml.serving.artifact import TUNED_ENCODER
from ml.serving.item_descriptions import artifact_encoder, text_cache, write_encoder_note
from ml.tasks.config import NextItemConfig
from ml.training.progress import Progress, Report
from ml.training.text_tuning import tune_text_encoder
from ml.training.trainer import REPORT_SECONDS

Items = NDArray[np.int64]


@dataclass
class ItemDescriptions:
    """The features of a log's items, with their texts encoded on first use: once for all the trials of a search.

    `given` are features to use instead of those beside the log; a tuned encoder is kept in `folder`; `earlier` is the
    artifact that a warm start goes on from, whose text encoder is used again.
    """

    columns: EventColumns
    folder: Path | None = None
    earlier: Path | None = None
    given: ItemFeatures | None = None
    encoder: TextEncoder | None = field(default=None, init=False)
    _encoded: ItemFeatures | None = field(default=None, init=False)

    def features(self, settings: NextItemConfig, split: Split, report: Report) -> ItemFeatures | None:
        """None where nothing is known. Raises ValueError where texts cannot be encoded."""
        known = self.given or self.columns.features()
        if known is None or "text" not in settings.inputs or known.texts is None:
            return known
        if self._encoded is None:
            self.encoder = self._find_encoder(known.texts, settings, split, report)
            tick = _Ticker(report)
            cache = TextCache(text_cache(self.columns.path.parent))
            self._encoded = replace(known, text=cache.encode(known.texts, self.encoder, tick=tick))
        return self._encoded

    def save(self, out: Path) -> None:
        """Leave in the artifact which encoder its items' texts went through, and its weights where they were tuned."""
        if self.encoder is not None:
            write_encoder_note(out, self.encoder)

    def _find_encoder(self, texts: list[str], settings: NextItemConfig, split: Split, report: Report) -> TextEncoder:
        if self.earlier is not None:
            return self._encoder_of_earlier(self.earlier, settings)
        if settings.text_encoder == "frozen":
            return pretrained_encoder(encoder_name())
        if self.folder is not None and (self.folder / TUNED_ENCODER).exists():
            return TextEncoder.load(str(self.folder / TUNED_ENCODER))
        first, second = consecutive_items(self.columns, split)
        tick = _Ticker(report)
        encoder = tune_text_encoder(
            pretrained_encoder(encoder_name()),
            texts,
            first,
            second,
            steps=settings.text_steps,
            seed=settings.seed,
            tick=lambda step: tick(step, settings.text_steps),
        )
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            encoder.save(self.folder / TUNED_ENCODER)
        return encoder

    def _encoder_of_earlier(self, earlier: Path, settings: NextItemConfig) -> TextEncoder:
        """The projection of the text was learned for this encoder's vectors, and fits no other's."""
        tuned = earlier / TUNED_ENCODER
        if tuned.exists() != (settings.text_encoder == "fine_tuned"):
            there = "fine_tuned" if tuned.exists() else "frozen"
            raise ValueError(
                f"text_encoder is {settings.text_encoder} here and {there} in the model that a warm start goes on "
                "from; use the same, or train from scratch"
            )
        encoder = artifact_encoder(earlier)
        if tuned.exists() and self.folder is not None and not (self.folder / TUNED_ENCODER).exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.copytree(tuned, self.folder / TUNED_ENCODER)
        return encoder


@dataclass
class _Ticker:
    """Reports encoding and tuning every second or so."""

    report: Report
    last: float = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.last >= REPORT_SECONDS:
            self.last = now
            self.report(Progress("text", step=done, steps=total))


def consecutive_items(columns: EventColumns, split: Split) -> tuple[Items, Items]:
    """Items (0-based) of training events and of their subject's next one; events without an item are passed over."""
    length = split.train_end - split.train_start
    row = np.repeat(split.train_start - (np.cumsum(length) - length), length) + np.arange(length.sum())
    subject = np.repeat(np.arange(len(length)), length)
    with_item = columns.item[row] > 0
    item, subject = columns.item[row][with_item].astype(np.int64) - 1, subject[with_item]
    follows = subject[1:] == subject[:-1]
    return item[:-1][follows], item[1:][follows]
