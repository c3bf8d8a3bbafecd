"""RePlay's SASRec on the sequences it is given; runs in RePlay's own environment.

The batches are made here, as RePlay's own reader would make them, which spares it the way over Parquet files.
"""

import time
from datetime import timedelta

import lightning
import numpy as np
import torch
from exchange import COUNT, Asked, answer, latencies_ms
from numpy.typing import NDArray
from replay.data import FeatureHint, FeatureSource, FeatureType
from replay.data.nn import TensorFeatureInfo, TensorFeatureSource, TensorSchema
from replay.nn.lightning import LightningModule
from replay.nn.lightning.optimizer import OptimizerFactory
from replay.nn.lightning.postprocessor import SeenItemsFilter
from replay.nn.sequential import SasRec
from torch import Tensor
from torch.utils.data import DataLoader

RECOMMEND_BATCH = 256


class Clock(lightning.Callback):
    """Seconds and epochs of training."""

    seconds = 0.0
    epochs = 0.0

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.seconds = time.perf_counter() - self.started
        self.epochs = trainer.global_step / trainer.num_training_batches


def main() -> None:
    asked = Asked.from_command_line()
    torch.set_num_threads(asked.threads)
    lightning.seed_everything(asked.seed)
    given = asked.read()
    items = int(max(given["train_item"].max(), given["history_item"].max()))
    model = SasRec.from_params(
        schema(items, asked.dimension),
        embedding_dim=asked.dimension,
        num_heads=asked.heads,
        num_blocks=asked.layers,
        max_sequence_length=asked.max_length,
        dropout=asked.dropout,
    )
    module = LightningModule(model, optimizer_factory=OptimizerFactory(learning_rate=asked.learning_rate))
    clock = Clock()
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=asked.epochs or -1,
        max_time=timedelta(minutes=asked.minutes) if asked.minutes else None,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    sequences = split_by(given["train_subject"], given["train_item"])

    def training_batch(chosen: list[NDArray[np.int64]]) -> dict[str, object]:
        item = pad_left(chosen, asked.max_length + 1, items)
        real = item < items
        return {
            "feature_tensors": {"item_id": item[:, :-1]},
            "padding_mask": real[:, :-1],
            "positive_labels": item[:, 1:, None],
            "target_padding_mask": real[:, 1:, None],
            "negative_labels": None,
        }

    loader = DataLoader(sequences, batch_size=asked.batch_size, shuffle=True, collate_fn=training_batch)
    trainer.fit(module, loader)

    module.eval()
    seen = SeenItemsFilter(item_count=items)
    histories = split_by(given["history_subject"], given["history_item"])

    @torch.inference_mode()
    def recommend(chosen: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        item = pad_left(chosen, asked.max_length, items)
        longest = max(len(history) for history in chosen)
        batch = {
            "feature_tensors": {"item_id": item},
            "padding_mask": item < items,
            "seen_ids": pad_left(chosen, longest, items),
        }
        logits = seen.on_prediction(batch, module(batch)["logits"])
        return 1 + logits.topk(COUNT, dim=1).indices.numpy()

    started = time.perf_counter()
    lists = [
        recommend(histories[begin : begin + RECOMMEND_BATCH]) for begin in range(0, len(histories), RECOMMEND_BATCH)
    ]
    seconds = time.perf_counter() - started
    measured = {
        "epochs": clock.epochs,
        "training_seconds": clock.seconds,
        "sequences_per_second": len(sequences) * clock.epochs / clock.seconds,
        "users_per_second": len(histories) / seconds,
        **latencies_ms(lambda user: recommend([histories[user]]), np.arange(len(histories))),
    }
    answer(asked, np.concatenate(lists), measured)


def schema(items: int, dimension: int) -> TensorSchema:
    return TensorSchema(
        TensorFeatureInfo(
            "item_id",
            feature_type=FeatureType.CATEGORICAL,
            is_seq=True,
            feature_hint=FeatureHint.ITEM_ID,
            feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")],
            cardinality=items,
            padding_value=items,
            embedding_dim=dimension,
        )
    )


def split_by(subject: NDArray[np.int64], item: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The 0-based items of each subject."""
    return np.split(item - 1, 1 + np.flatnonzero(np.diff(subject)))


def pad_left(sequences: list[NDArray[np.int64]], length: int, padding: int) -> Tensor:
    """The newest `length` items of each, (sequences, length)."""
    rows = np.full((len(sequences), length), padding, dtype=np.int64)
    for row, sequence in zip(rows, sequences, strict=True):
        newest = sequence[-length:]
        row[length - len(newest) :] = newest
    return torch.from_numpy(rows)


if __name__ == "__main__":
    main()
