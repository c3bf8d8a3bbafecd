"""What a peer's script is given and what it answers; needs numpy only, so that any environment can import it.

Given: an .npz file with `train_subject`, `train_item` (events to train on, in order), `history_subject`,
`history_item` (events known when lists are asked for, in order) and `subjects` (whom to ask for). Items are codes 1..J.
Answered: the measurements as one line of JSON, and an .npz file with `lists` (subjects, 10) of item codes, 0 where a
list is short.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

COUNT = 10
# Single questions whose latency is measured, after as many again to warm up.
QUESTIONS = 100


@dataclass(frozen=True)
class Asked:
    """The same model for every peer; epochs or minutes end the training."""

    sequences: Path
    lists: Path
    dimension: int
    layers: int
    heads: int
    dropout: float
    max_length: int
    batch_size: int
    learning_rate: float
    threads: int
    seed: int
    epochs: int | None
    minutes: float | None

    @classmethod
    def from_command_line(cls) -> "Asked":
        parser = argparse.ArgumentParser()
        for name in ("sequences", "lists"):
            parser.add_argument(f"--{name}", type=Path, required=True)
        for name in ("dimension", "layers", "heads", "max-length", "batch-size", "threads", "seed"):
            parser.add_argument(f"--{name}", type=int, required=True)
        for name in ("dropout", "learning-rate"):
            parser.add_argument(f"--{name}", type=float, required=True)
        end = parser.add_mutually_exclusive_group(required=True)
        end.add_argument("--epochs", type=int)
        end.add_argument("--minutes", type=float)
        return cls(**vars(parser.parse_args()))

    def read(self) -> Mapping[str, NDArray[np.int64]]:
        with np.load(self.sequences, allow_pickle=False) as stored:
            return dict(stored)


def latencies_ms(ask: Callable[[int], object], subjects: NDArray[np.int64]) -> dict[str, float]:
    """Median and 99th percentile of single questions, in milliseconds."""
    seconds = []
    for number in range(2 * QUESTIONS):
        started = time.perf_counter()
        ask(int(subjects[number % len(subjects)]))
        seconds.append(time.perf_counter() - started)
    p50, p99 = np.percentile(seconds[QUESTIONS:], [50, 99])
    return {"one_user_p50_ms": 1000 * float(p50), "one_user_p99_ms": 1000 * float(p99)}


def answer(asked: Asked, lists: NDArray[np.int64], measured: dict[str, float]) -> None:
    """Write the lists and print the measurements, with the most memory that this process has held."""
    np.savez(asked.lists, lists=lists)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    print(json.dumps({**measured, "peak_memory_mb": megabytes}), flush=True)
