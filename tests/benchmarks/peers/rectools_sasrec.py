"""RecTools' SASRec on the sequences it is given; runs in RecTools' own environment."""

import time
from datetime import timedelta

import numpy as np
import pandas as pd
import torch
from exchange import COUNT, Asked, answer, latencies_ms
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel


class Clock(Callback):
    """Seconds and epochs of training, without the preparation before it."""

    seconds = 0.0
    epochs = 0.0

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.seconds = time.perf_counter() - self.started
        self.epochs = trainer.global_step / trainer.num_training_batches


def main() -> None:
    asked = Asked.from_command_line()
    torch.set_num_threads(asked.threads)
    seed_everything(asked.seed)
    given = asked.read()
    clock = Clock()

    def trainer() -> Trainer:
        return Trainer(
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

    model = SASRecModel(
        n_blocks=asked.layers,
        n_heads=asked.heads,
        n_factors=asked.dimension,
        dropout_rate=asked.dropout,
        session_max_len=asked.max_length,
        loss="softmax",
        lr=asked.learning_rate,
        batch_size=asked.batch_size,
        get_trainer_func=trainer,
        recommend_n_threads=asked.threads,
    )
    model.fit(dataset(given["train_subject"], given["train_item"]))
    # The model trains with a copy of the trainer, which holds a copy of the clock.
    clock = next(callback for callback in model.fit_trainer.callbacks if isinstance(callback, Clock))

    subjects = given["subjects"]
    history = frame(given["history_subject"], given["history_item"])
    known = Dataset.construct(history)
    started = time.perf_counter()
    recommended = model.recommend(users=subjects, dataset=known, k=COUNT, filter_viewed=True)
    seconds = time.perf_counter() - started
    lists = np.zeros((len(subjects), COUNT), dtype=np.int64)
    row = pd.Series(np.arange(len(subjects)), index=subjects)
    lists[row[recommended[Columns.User]].to_numpy(), recommended[Columns.Rank].to_numpy() - 1] = recommended[
        Columns.Item
    ]
    single = {
        int(user): Dataset.construct(part)
        for user, part in history[history[Columns.User].isin(subjects[:100])].groupby(Columns.User)
    }

    def ask(user: int) -> object:
        return model.recommend(users=[user], dataset=single[user], k=COUNT, filter_viewed=True)

    measured = {
        "epochs": clock.epochs,
        "training_seconds": clock.seconds,
        "sequences_per_second": len(np.unique(given["train_subject"])) * clock.epochs / clock.seconds,
        "users_per_second": len(subjects) / seconds,
        **latencies_ms(ask, np.array(list(single))),
    }
    answer(asked, lists, measured)


def frame(subject: NDArray[np.int64], item: NDArray[np.int64]) -> pd.DataFrame:
    order = pd.to_datetime(np.arange(len(subject)), unit="s")
    return pd.DataFrame({Columns.User: subject, Columns.Item: item, Columns.Weight: 1.0, Columns.Datetime: order})


def dataset(subject: NDArray[np.int64], item: NDArray[np.int64]) -> Dataset:
    return Dataset.construct(frame(subject, item))


if __name__ == "__main__":
    main()
