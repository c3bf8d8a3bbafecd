"""DeepCTR-Torch's DIN on the rows of an .npz file, in an environment of its own.

Given: train_, validation_ and test_ arrays `item` (n,), `history` (n, L) with 0 after its end, `clicked` (n,).
Answered: one line of JSON, and an .npz file with the chances of the test rows after validation's best epoch.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat
from deepctr_torch.models import DIN
from sklearn.metrics import roc_auc_score


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("rows", "chances"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("items", "dimension", "hidden", "epochs", "batch-size", "seed", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with np.load(asked.rows, allow_pickle=False) as stored:
        rows = dict(stored)
    length = rows["train_history"].shape[1]
    size = asked.items + 1
    columns = [
        SparseFeat("item", size, embedding_dim=asked.dimension),
        VarLenSparseFeat(
            SparseFeat("hist_item", size, embedding_dim=asked.dimension, embedding_name="item"),
            maxlen=length,
            length_name="seq_length",
        ),
    ]
    model = DIN(columns, ["item"], dnn_hidden_units=(asked.hidden, asked.hidden), seed=asked.seed)
    model.compile(torch.optim.Adam(model.parameters(), lr=asked.learning_rate), "binary_crossentropy")

    def inputs(part: str) -> dict[str, np.ndarray]:
        history = rows[f"{part}_history"]
        return {"item": rows[f"{part}_item"], "hist_item": history, "seq_length": (history > 0).sum(axis=1)}

    best, chances, epoch_of_best = -1.0, np.zeros(0), 0
    started = time.perf_counter()
    for epoch in range(asked.epochs):
        model.fit(inputs("train"), rows["train_clicked"], batch_size=asked.batch_size, epochs=1, verbose=0)
        score = roc_auc_score(rows["validation_clicked"], model.predict(inputs("validation"), 8192))
        if score > best:
            best, chances, epoch_of_best = score, model.predict(inputs("test"), 8192), epoch + 1
    np.savez(asked.chances, chances=np.ravel(chances))
    print(json.dumps({"validation_auc": best, "epoch": epoch_of_best, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
