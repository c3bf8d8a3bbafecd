"""Predictors of many tenants within one memory budget."""

import threading
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path

from ml.serving.predictor import load_predictor
from ml.serving.requests import Predictor


@lru_cache(maxsize=1024)
def _place(path: Path) -> Path:
    return Path(path).resolve()


class ArtifactTooLargeError(ValueError):
    """One artifact alone exceeds the pool's budget."""


class PredictorPool:
    """Keeps the most recently used predictors in memory, at most `budget_bytes` of them. Safe for threads.

    A predictor that was evicted lives on for as long as a caller holds it.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._predictors: OrderedDict[Path, Predictor] = OrderedDict()
        self._loading: dict[Path, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, path: Path) -> Predictor:
        """The predictor of an artifact folder, loaded on first use. Raises ArtifactTooLargeError."""
        path = _place(path)
        with self._lock:
            if path in self._predictors:
                self._predictors.move_to_end(path)
                return self._predictors[path]
            loading = self._loading.setdefault(path, threading.Lock())
        # Two callers load one artifact once, while others go on being served.
        with loading:
            with self._lock:
                if path in self._predictors:
                    return self._predictors[path]
            predictor = self._load(path)
            with self._lock:
                self._predictors[path] = predictor
                self._loading.pop(path, None)
                self._evict(keep=path)
            return predictor

    def held(self, path: Path) -> Predictor | None:
        """The predictor of an artifact folder, if it is in memory now."""
        with self._lock:
            return self._predictors.get(_place(path))

    def replace(self, path: Path, predictor: Predictor) -> None:
        """Let another predictor answer for an artifact folder that is held; nothing happens where it is not.

        Raises ArtifactTooLargeError, with the former one left in place.
        """
        path = _place(path)
        self._check_size(path, predictor.nbytes)
        with self._lock:
            if path in self._predictors:
                self._predictors[path] = predictor
                self._evict(keep=path)

    @property
    def nbytes(self) -> int:
        """Memory held now, in bytes."""
        with self._lock:
            return sum(predictor.nbytes for predictor in self._predictors.values())

    def _load(self, path: Path) -> Predictor:
        on_disk = sum(file.stat().st_size for file in path.glob("*.safetensors"))
        self._check_size(path, on_disk)
        predictor = load_predictor(path)
        self._check_size(path, predictor.nbytes)
        return predictor

    def _check_size(self, path: Path, size: int) -> None:
        if size > self.budget_bytes:
            raise ArtifactTooLargeError(
                f"{path} needs {size / 2**20:.0f} MB, more than the pool's {self.budget_bytes / 2**20:.0f} MB; "
                "raise the budget or train a smaller model"
            )

    def _evict(self, *, keep: Path) -> None:
        held = sum(predictor.nbytes for predictor in self._predictors.values())
        for path in list(self._predictors):
            if held <= self.budget_bytes:
                return
            if path != keep:
                held -= self._predictors.pop(path).nbytes
