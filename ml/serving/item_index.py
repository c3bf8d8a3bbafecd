"""Maximum inner product search over the items, where an item's logit is query . vector + bias.

Exact for a catalogue of up to EXACT_ITEMS, clustered above. A filter holds before the cut, never after it: a list is
as long as was asked for whenever as many items are allowed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]
# Which items may be found: (items,) booleans, or item codes.
Allowed = NDArray[np.bool_] | NDArray[np.integer]
# Codes and logits, (B, count) each, best first; code 0 and logit -inf where fewer items are allowed.
Found = tuple[Codes, Floats]

# Reading every item of a larger catalogue takes longer than an answer may.
EXACT_ITEMS = 100_000
# Items whose vectors are gathered at once: 32 MB of 64 dimensions; and logits held at once: 16 MB.
ITEMS_AT_ONCE = 2**17
LOGITS_IN_MEMORY = 4 * 2**20
FILE = "item_index.safetensors"


class ItemIndex(Protocol):
    @property
    def items(self) -> int: ...

    @property
    def nbytes(self) -> int:
        """Memory that the index holds beside the vectors and biases it was given, in bytes."""
        ...

    def search(self, query_BD: Floats, count: int, *, allowed: Allowed | None = None) -> Found:
        """The `count` items with the highest logits among the allowed ones. Raises ValueError for an `allowed` that
        does not fit the items."""
        ...

    def lead(self, query_BD: Floats, count: int) -> tuple[Found, Floats]:
        """What an unfiltered search finds, and the log of the sum of exp(logit) over all items, (B,); where the index
        estimates that, the estimate is the better the higher `count` is."""
        ...

    def with_items(self, vectors_JD: Tensor, bias_J: Tensor) -> "ItemIndex":
        """An index of a catalogue that has grown at its end; this one stays as it is."""
        ...


@dataclass(frozen=True)
class ExactIndex:
    """Compares the query with every allowed item, in chunks."""

    vectors_JD: Tensor
    bias_J: Tensor

    @property
    def items(self) -> int:
        return len(self.bias_J)

    @property
    def nbytes(self) -> int:
        return 0

    @torch.inference_mode()
    def search(self, query_BD: Floats, count: int, *, allowed: Allowed | None = None) -> Found:
        codes = None if allowed is None else allowed_codes(allowed, self.items)
        found = _Best(len(query_BD), count)
        for chosen, logits in self._logits(query_BD, codes):
            found.add(chosen, logits)
        return found.ordered()

    @torch.inference_mode()
    def lead(self, query_BD: Floats, count: int) -> tuple[Found, Floats]:
        found, sums = _Best(len(query_BD), count), []
        for codes, logits in self._logits(query_BD, None):
            found.add(codes, logits)
            sums.append(logits.logsumexp(dim=1))
        return found.ordered(), torch.stack(sums).logsumexp(dim=0).numpy()

    def with_items(self, vectors_JD: Tensor, bias_J: Tensor) -> ItemIndex:
        return build_index(vectors_JD, bias_J)

    def _logits(self, query_BD: Floats, codes: Codes | None) -> Iterator[tuple[Codes, Tensor]]:
        """Item codes (K,) and logits (B, K) of all items, or of those with these codes, chunk by chunk."""
        query = torch.from_numpy(query_BD)
        total = self.items if codes is None else len(codes)
        size = max(1, min(ITEMS_AT_ONCE, LOGITS_IN_MEMORY // max(1, len(query))))
        for begin in range(0, total, size):
            end = min(begin + size, total)
            if codes is None:
                chosen = np.arange(begin + 1, end + 1)
                vectors, bias = self.vectors_JD[begin:end], self.bias_J[begin:end]
            else:
                chosen = codes[begin:end]
                row = torch.from_numpy(chosen - 1)
                vectors, bias = self.vectors_JD.index_select(0, row), self.bias_J.index_select(0, row)
            yield chosen, torch.addmm(bias, query, vectors.T)


class _Best:
    """The `count` best items of each of B queries among those seen so far."""

    def __init__(self, queries: int, count: int) -> None:
        self.count = count
        self.codes = [np.zeros((queries, count), dtype=np.int64)]
        self.logits = [np.full((queries, count), -np.inf, dtype=np.float32)]

    def add(self, codes: Codes, logits: Tensor) -> None:
        """Items with these codes (K,) and logits (B, K)."""
        top = logits.topk(min(self.count, logits.shape[1]))
        self.codes.append(codes[top.indices.numpy()])
        self.logits.append(top.values.numpy())

    def ordered(self) -> Found:
        return best_first(np.concatenate(self.codes, axis=1), np.concatenate(self.logits, axis=1), self.count)


def build_index(vectors_JD: Tensor, bias_J: Tensor) -> ItemIndex:
    """An index over item vectors in code order. A clustered one takes about 20 s of one thread for 1,000,000 items."""
    exact = ExactIndex(vectors_JD, bias_J)
    if exact.items <= EXACT_ITEMS:
        return exact
    from ml.serving.clustered_index import ClusteredIndex  # a small catalogue needs no faiss

    return ClusteredIndex.build(exact, least_read=_least_read())


def save_index(path: Path, vectors_JD: Tensor, bias_J: Tensor) -> None:
    """Store in the artifact folder `path` what takes long to build; nothing for a small catalogue."""
    if len(bias_J) <= EXACT_ITEMS:
        return
    from ml.serving.clustered_index import ClusteredIndex

    exact = ExactIndex(vectors_JD.cpu(), bias_J.cpu())
    ClusteredIndex.build(exact, least_read=_least_read()).save(Path(path) / FILE)


def open_index(path: Path, vectors_JD: Tensor, bias_J: Tensor) -> ItemIndex:
    """The index of an artifact folder, or a new one where none is stored. Raises ValueError for a stored one that does
    not fit the items."""
    file = Path(path) / FILE
    if len(bias_J) <= EXACT_ITEMS or not file.exists():
        return build_index(vectors_JD, bias_J)
    from ml.serving.clustered_index import ClusteredIndex

    return ClusteredIndex.load(file, ExactIndex(vectors_JD, bias_J), least_read=_least_read())


def allowed_codes(allowed: Allowed, items: int) -> Codes:
    """Item codes in ascending order. Raises ValueError for a mask of another length or codes outside 1..items."""
    if allowed.dtype == np.bool_:
        if allowed.shape != (items,):
            raise ValueError(f"allowed has shape {allowed.shape}; give one boolean for each of the {items} items")
        return np.flatnonzero(allowed) + 1
    codes = np.unique(allowed).astype(np.int64)
    if len(codes) and (codes[0] < 1 or codes[-1] > items):
        raise ValueError(f"allowed has codes from {codes[0]} to {codes[-1]}; item codes lie in 1..{items}")
    return codes


def best_first(codes: Codes, logits: Floats, count: int) -> Found:
    """The `count` highest logits of each row, the lower code first among equals, and nothing last."""
    order = np.lexsort((codes, codes == 0, -logits))[:, :count]
    return np.take_along_axis(codes, order, axis=1), np.take_along_axis(logits, order, axis=1)


def _least_read() -> int:
    """So many allowed items are read in any case: gathering a fifth of EXACT_ITEMS takes as long as all in a row."""
    return EXACT_ITEMS // 5
