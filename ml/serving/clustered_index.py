"""The approximate item index: items in lists by k-means (an inverted file, IVF), of which a query reads the nearest."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.serving.item_index import Allowed, Codes, ExactIndex, Floats, Found, allowed_codes, best_first

# The share of the allowed items that a search reads.
SHARE_READ = 1 / 8
# Lists for n items: this many times the root of n. Twice as many halve what a given recall costs to read, but take
# twice as long to build.
LISTS_PER_ROOT = 4.0
# k-means runs on so many items per list.
ITEMS_PER_LIST = 32
ROUNDS = 6
# Bias becomes one more coordinate of the vectors. Its spread in them is this many times their root mean square norm:
# on trained tables less scatters each list's biases, and more its directions.
BIAS_SPREAD = 0.4
# Items whose logits stand for all others in the normaliser.
SAMPLE = 2**14


@dataclass(frozen=True)
class ItemSample:
    """A fixed sample of the items that estimates sums of exp(logit) over all of them.

    Items are drawn systematically with probability half in proportion to exp(bias), half evenly: the first is where
    the mass is, the second bounds the weights (a defensive mixture: Hesterberg, 1995). log_weight is
    log(draws / expected draws) of each.
    """

    codes: Codes  # (S,) ascending
    vectors_SD: Tensor
    bias_S: Tensor
    log_weight_S: Tensor

    @classmethod
    def draw(cls, exact: ExactIndex) -> "ItemSample":
        bias = exact.bias_J.double()
        expected = SAMPLE * (0.5 * bias.softmax(dim=0) + 0.5 / exact.items)
        upto = (expected.cumsum(dim=0) + 0.5).floor()
        draws = torch.diff(upto, prepend=upto.new_zeros(1))
        row = draws.nonzero()[:, 0]
        weight = draws[row] / expected[row]
        return cls(row.numpy() + 1, exact.vectors_JD[row], exact.bias_J[row], weight.log().float())

    def log_sum(self, query_BD: Tensor, best: Found) -> Tensor:
        """log of the sum of exp(logit), (B,): exact over `best`, estimated over the rest."""
        codes, logits = best
        sampled = torch.addmm(self.bias_S + self.log_weight_S, query_BD, self.vectors_SD.T)
        place = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        row, column = np.nonzero(self.codes[place] == codes)
        sampled[row, place[row, column]] = -torch.inf
        return torch.cat([torch.from_numpy(logits), sampled], dim=1).logsumexp(dim=1)


@dataclass(frozen=True)
class ClusteredIndex:
    """Reads lists in the order of their centroids' logits until they hold SHARE_READ of the allowed items, and no fewer
    than `least_read`. Where so few are allowed at all, it compares them one by one.

    Vectors and queries have one coordinate more than the items' own: bias / bias_scale, and bias_scale.
    """

    exact: ExactIndex
    centroids: Floats  # (lists, D + 1)
    list_of_item: NDArray[np.int32]  # (J,)
    sizes: NDArray[np.int64]  # (lists,) items in each
    bias_scale: float
    least_read: int
    lists: Any  # faiss.IndexIVFFlat; a label is an item code less 1
    sample: ItemSample

    @classmethod
    def build(cls, exact: ExactIndex, *, least_read: int) -> "ClusteredIndex":
        scale = _bias_scale(exact)
        vectors = _with_bias(exact, scale)
        count = max(1, min(exact.items, round(LISTS_PER_ROOT * exact.items**0.5)))
        with _threads():
            clustering = faiss.Kmeans(
                vectors.shape[1],
                count,
                niter=ROUNDS,
                seed=0,
                min_points_per_centroid=1,
                max_points_per_centroid=ITEMS_PER_LIST,
            )
            clustering.train(vectors)
            centroids: Floats = clustering.centroids
            list_of_item = _nearest(centroids, vectors)
        return cls._of(exact, vectors, centroids, list_of_item, scale, least_read)

    @classmethod
    def load(cls, path: Path, exact: ExactIndex, *, least_read: int) -> "ClusteredIndex":
        """Raises ValueError for a file that does not belong to these items."""
        from safetensors.numpy import load_file

        stored = load_file(path)
        centroids, list_of_item = stored["centroids"], stored["list_of_item"]
        scale = float(stored["bias_scale"][0])
        shape = (len(centroids), exact.vectors_JD.shape[1] + 1)
        # faiss checks none of this, and writes outside its memory where it does not hold.
        fits = (
            centroids.dtype == np.float32
            and centroids.shape == shape
            and np.isfinite(centroids).all()
            and list_of_item.dtype == np.int32
            and list_of_item.shape == (exact.items,)
            and list_of_item.min() >= 0
            and list_of_item.max() < len(centroids)
            and 0.0 < scale < np.inf
        )
        if not fits:
            raise ValueError(f"{path} does not belong to the {exact.items} items of the model; train the model again")
        return cls._of(exact, _with_bias(exact, scale), centroids, list_of_item, scale, least_read)

    @classmethod
    def _of(
        cls,
        exact: ExactIndex,
        vectors: Floats,
        centroids: Floats,
        list_of_item: NDArray[np.int32],
        scale: float,
        least_read: int,
    ) -> "ClusteredIndex":
        coarse = faiss.IndexFlatIP(centroids.shape[1])
        coarse.add(centroids)
        lists = faiss.IndexIVFFlat(coarse, centroids.shape[1], len(centroids), faiss.METRIC_INNER_PRODUCT)
        lists.is_trained = True
        _add(lists, vectors, np.arange(exact.items), list_of_item)
        sizes = np.bincount(list_of_item, minlength=len(centroids))
        return cls(exact, centroids, list_of_item, sizes, scale, least_read, lists, ItemSample.draw(exact))

    def save(self, path: Path) -> None:
        """Write centroids and each item's list; vectors and biases are the model's."""
        from safetensors.numpy import save_file

        arrays: dict[str, NDArray] = {
            "centroids": self.centroids,
            "list_of_item": self.list_of_item,
            "bias_scale": np.array([self.bias_scale], dtype=np.float64),
        }
        partial = path.with_name(path.name + ".partial")
        save_file(arrays, partial)
        os.replace(partial, path)

    @property
    def items(self) -> int:
        return self.exact.items

    @property
    def nbytes(self) -> int:
        label = 8
        stored = self.items * (4 * self.centroids.shape[1] + label)
        sample = self.sample.vectors_SD.nbytes + self.sample.codes.nbytes
        return stored + 2 * self.centroids.nbytes + self.list_of_item.nbytes + sample

    def search(self, query_BD: Floats, count: int, *, allowed: Allowed | None = None) -> Found:
        held, selector = self.sizes, None
        if allowed is not None:
            codes = allowed_codes(allowed, self.items)
            if len(codes) <= max(self.least_read, count):
                return self.exact.search(query_BD, count, allowed=codes)
            held = np.bincount(self.list_of_item[codes - 1], minlength=len(self.centroids))
            selector = _selector(codes, self.items)
        asked = np.column_stack([query_BD, np.full(len(query_BD), self.bias_scale)]).astype(np.float32)
        logits, labels = self._read(asked, count, held, selector)
        codes_found, logits_found = best_first(labels + 1, np.where(labels < 0, -np.inf, logits), count)
        short = np.flatnonzero((codes_found > 0).sum(axis=1) < min(count, held.sum()))
        if len(short):
            # Only where rounding put another list last than was counted on.
            codes_found[short], logits_found[short] = self.exact.search(query_BD[short], count, allowed=allowed)
        return codes_found, logits_found

    @torch.inference_mode()
    def lead(self, query_BD: Floats, count: int) -> tuple[Found, Floats]:
        best = self.search(query_BD, count)
        return best, self.sample.log_sum(torch.from_numpy(query_BD), best).numpy()

    def with_items(self, vectors_JD: Tensor, bias_J: Tensor) -> "ClusteredIndex":
        """New items go into the lists of the nearest centroids."""
        exact = ExactIndex(vectors_JD, bias_J)
        new = _with_bias(ExactIndex(exact.vectors_JD[self.items :], exact.bias_J[self.items :]), self.bias_scale)
        into = _nearest(self.centroids, new)
        lists = faiss.clone_index(self.lists)
        _add(lists, new, np.arange(self.items, exact.items), into)
        return replace(
            self,
            exact=exact,
            list_of_item=np.concatenate([self.list_of_item, into]),
            sizes=self.sizes + np.bincount(into, minlength=len(self.sizes)),
            lists=lists,
            sample=ItemSample.draw(exact),
        )

    def _read(self, asked: Floats, count: int, held: NDArray[np.int64], selector: Any) -> tuple[Floats, Codes]:
        """Logits and labels, (B, count) each, out of as many lists as hold enough allowed items; `held` counts them."""
        enough = min(held.sum(), max(count, self.least_read, SHARE_READ * held.sum()))
        nearest = (torch.from_numpy(asked) @ torch.from_numpy(self.centroids).T).argsort(dim=1, descending=True).numpy()
        lists_read = (held[nearest].cumsum(axis=1) < enough).sum(axis=1) + 1
        logits = np.empty((len(asked), count), dtype=np.float32)
        labels = np.empty((len(asked), count), dtype=np.int64)
        for row, lists in enumerate(lists_read):
            how = faiss.SearchParametersIVF(nprobe=int(lists), sel=selector)
            self.lists.search(asked[row : row + 1], count, params=how, D=logits[row : row + 1], I=labels[row : row + 1])
        return logits, labels


def _selector(codes: Codes, items: int) -> Any:
    chosen = np.zeros(items, dtype=np.bool_)
    chosen[codes - 1] = True
    return faiss.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))


def _bias_scale(exact: ExactIndex) -> float:
    norm = float(exact.vectors_JD.square().sum(dim=1).mean().sqrt())
    spread = float(exact.bias_J.std())
    return spread / (BIAS_SPREAD * norm) if spread > 0.0 and norm > 0.0 else 1.0


def _with_bias(exact: ExactIndex, scale: float) -> Floats:
    return torch.cat([exact.vectors_JD, exact.bias_J[:, None] / scale], dim=1).float().numpy()


def _nearest(centroids: Floats, vectors: Floats) -> NDArray[np.int32]:
    coarse = faiss.IndexFlatL2(centroids.shape[1])
    coarse.add(centroids)
    return coarse.search(vectors, 1)[1][:, 0].astype(np.int32)


def _add(lists: Any, vectors: Floats, labels: Codes, list_of_item: NDArray[np.int32]) -> None:
    """Put vectors into known lists; faiss's own `add` would search for them again, which takes most of a build."""
    vectors, into = np.ascontiguousarray(vectors), list_of_item.astype(np.int64)
    # Bare pointers: the arrays must outlive the call, be contiguous, and hold what faiss expects.
    lists.add_core(len(vectors), faiss.swig_ptr(vectors), faiss.swig_ptr(labels), faiss.swig_ptr(into))


@contextmanager
def _threads() -> Iterator[None]:
    """faiss works with as many threads as torch does."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(torch.get_num_threads())
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
