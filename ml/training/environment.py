"""What a run needs of the process that it is in: random state, threads, memory, device."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ml.nn.names import Device
from ml.training.memory import memory_kept


@contextmanager
def seeded(seed: int, threads: int | None) -> Iterator[None]:
    """Seeds torch, sets its threads and keeps freed memory for the run, and puts all back as it was.

    Without `threads` they are as many as the variable ML_THREADS says, or as before.
    """
    before = torch.get_num_threads()
    with memory_kept(), torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(threads or int(os.environ.get("ML_THREADS") or 0) or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def device_named(name: Device) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)
