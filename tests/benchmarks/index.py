"""Top 10 of 1,000,000 items for one query on one thread: the item index beside exact search and a plain product.

The vectors are made like trained ones, by chance and without data: 500 categories, 25,000 groups in them, items around
their group, norms and biases that grow with a skewed popularity. Queries are blends of three popular items and as much
again of something else. Sizes are such that 37,000 of these items have the spread within clusters, the shape of the
softmax and the recall for each share read that the table of a model trained on the RetailRocket sessions has; vectors
without structure, or queries beside one item each, would be harder or far easier.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.vocabulary import Vocabulary
from ml.evaluation.mixture import Mixture
from ml.evaluation.rules import count_rules
from ml.evaluation.untrained import Untrained
from ml.nn.sequence_model import SequenceModel
from ml.serving.item_index import ExactIndex, ItemIndex, build_index
from ml.serving.next_item import NextItemPredictor
from ml.serving.requests import NextItemRequest
from ml.serving.scorer import Scorer
from ml.serving.shortlist import LEADERS, Shortlist

ITEMS, DIMENSION, QUERIES, COUNT = 1_000_000, 64, 500, 10
# Exact searches take long; so many are timed.
EXACT_TIMED = 60
Floats = NDArray[np.float32]


def measure(*, data: Path | None, full: bool) -> list[dict[str, Any]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    try:
        vectors, bias, popularity = trained_like(np.random.default_rng(0))
        queries = blends(np.random.default_rng(1), vectors, popularity)
        started, started_work = time.perf_counter(), time.thread_time()
        index = build_index(vectors, bias)
        build = time.perf_counter() - started, time.thread_time() - started_work
        return [
            *index_records(index, ExactIndex(vectors, bias), queries, build),
            predictor_record(index, vectors, bias, popularity),
        ]
    finally:
        torch.set_num_threads(threads)
        faiss.omp_set_num_threads(os.cpu_count() or 1)


def trained_like(generator: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, Floats]:
    """Item vectors (items, D), biases and shares of the events (items,)."""
    log_popularity = generator.permutation(-0.8 * np.log(np.arange(1, ITEMS + 1)))
    category = generator.standard_normal((500, DIMENSION), dtype=np.float32)
    group = category[generator.integers(500, size=ITEMS // 40)]
    group = (group + generator.standard_normal(group.shape, dtype=np.float32)) / 2**0.5
    size = generator.gamma(0.5, size=len(group))
    vectors = group[generator.choice(len(group), ITEMS, p=size / size.sum())]
    vectors = (1 - 0.75**2) ** 0.5 * vectors + 0.75 * generator.standard_normal(vectors.shape, dtype=np.float32)
    standard = (log_popularity - log_popularity.mean()) / log_popularity.std()
    norm = 1.0 + 0.04 * standard + 0.1 * generator.standard_normal(ITEMS)
    vectors *= (norm / DIMENSION**0.5).astype(np.float32)[:, None]
    bias = log_popularity - log_popularity.mean() + 0.3 * generator.standard_normal(ITEMS)
    popularity = np.exp(log_popularity) / np.exp(log_popularity).sum()
    return torch.from_numpy(vectors), torch.from_numpy(bias.astype(np.float32)), popularity.astype(np.float32)


def blends(generator: np.random.Generator, vectors: torch.Tensor, popularity: Floats) -> Floats:
    """Queries (QUERIES, D) of norm about 12."""
    share = popularity.astype(np.float64)
    history = vectors.numpy()[generator.choice(ITEMS, size=(QUERIES, 3), p=share / share.sum())]
    blend = np.einsum("qed,e->qd", history, [1.0, 0.6, 0.4])
    blend /= np.linalg.norm(blend, axis=1, keepdims=True)
    blend += 2.0 * generator.standard_normal(blend.shape) / DIMENSION**0.5
    norm = 12.0 * generator.lognormal(0.0, 0.25, size=(QUERIES, 1))
    return (norm * blend / np.linalg.norm(blend, axis=1, keepdims=True)).astype(np.float32)


def index_records(
    index: ItemIndex, exact: ExactIndex, queries: Floats, build: tuple[float, float]
) -> list[dict[str, Any]]:
    generator = np.random.default_rng(2)
    filters: dict[str, NDArray[np.bool_] | None] = {
        "all": None,
        "half": generator.random(ITEMS) < 0.5,
        "hundredth": generator.random(ITEMS) < 0.01,
        # What a category filter does to a query from elsewhere.
        "far_fifth": far_fifth(exact, queries),
    }
    single = [queries[number : number + 1] for number in range(QUERIES)]
    taken, recalls, full = {}, {}, True
    for name, allowed in filters.items():
        taken[name] = times(lambda query, kept=allowed: index.search(query, COUNT, allowed=kept), single)
        found = index.search(queries, COUNT, allowed=allowed)[0]
        recalls[name] = recall(found, exact.search(queries, COUNT, allowed=allowed)[0])
        full = full and bool((found > 0).all() and (allowed is None or allowed[found - 1].all()))
    product = times(lambda query: plain_product(exact, query), single[:EXACT_TIMED])
    brute_force = times(lambda query: exact.search(query, COUNT), single[:EXACT_TIMED])
    leaders = times(lambda query: index.lead(query, LEADERS), single)
    error = np.abs(index.lead(queries, LEADERS)[1] - exact.lead(queries, LEADERS)[1])
    by_filter = {
        name: part
        for kind in ("half", "hundredth", "far_fifth")
        for name, part in taken[kind].figures(f"{kind}_").items()
    }
    return [
        {
            "id": "index.1m.p50_ms",
            "value": taken["all"].p50,
            "aim": "<= 10 ms",
            "peer": {"name": "a plain matrix product", "value": product.p50},
            "detail": taken["all"].figures()
            | product.figures("product_")
            | brute_force.figures("exact_")
            | leaders.figures("leaders_and_normaliser_")
            | by_filter
            | {
                "build_s": build[0],
                "build_cpu_s": build[1],
                "index_mb": index.nbytes / 1e6,
                "vectors_mb": (exact.vectors_JD.nbytes + exact.bias_J.nbytes) / 1e6,
                "items": ITEMS,
                "dimension": DIMENSION,
                "threads": 1,
            },
        },
        {
            "id": "index.1m.recall10",
            "value": recalls["all"],
            "aim": ">= 0.99",
            "detail": {
                **{f"{name}_filter": recalls[name] for name in filters if name != "all"},
                "lists_full": full,
                "normaliser_error_median": float(np.median(error)),
                "normaliser_error_p95": float(np.percentile(error, 95)),
                "queries": QUERIES,
            },
        },
    ]


def recall(found: NDArray[np.int64], expected: NDArray[np.int64]) -> float:
    shared = [len(set(one) & set(other)) for one, other in zip(found.tolist(), expected.tolist(), strict=True)]
    return float(np.mean(shared)) / COUNT


def far_fifth(exact: ExactIndex, queries: Floats) -> NDArray[np.bool_]:
    """The fifth of the items that is farthest from the queries' mean."""
    nearness = exact.vectors_JD.numpy() @ queries.mean(axis=0)
    return nearness < np.quantile(nearness, 0.2)


def plain_product(exact: ExactIndex, query: Floats) -> torch.Tensor:
    """What any way to the exact answer has to do at least: one matrix product and the best of it."""
    return torch.addmv(exact.bias_J, exact.vectors_JD, torch.from_numpy(query[0])).topk(COUNT).indices


def predictor_record(index: ItemIndex, vectors: torch.Tensor, bias: torch.Tensor, popularity: Floats) -> dict[str, Any]:
    """One user's list from the whole predictor, network, rules and reasons included, beside scoring all items. The
    encoder is untrained, which its speed does not know."""
    generator = np.random.default_rng(3)
    model = SequenceModel(
        items=ITEMS,
        types=1,
        encoder="transformer",
        dimension=DIMENSION,
        layers=2,
        heads=2,
        dropout=0.0,
        max_length=50,
        inputs=("type", "gap"),
        copying=True,
    ).eval()
    with torch.no_grad():
        model.embedding.item_table.weight[1:] = vectors
        model.bias.copy_(bias)
    share = popularity.astype(np.float64)
    item = generator.choice(ITEMS, size=500_000, p=share / share.sum()) + 1
    rules = count_rules(item, np.arange(len(item)) // 20, items=ITEMS, successors=200)
    vocabulary = Vocabulary([f"item-{number}" for number in range(ITEMS)], ["view"])
    mixture = Mixture(neural=0.6, rules=0.2, neighbors=0.0, repeats=0.1, popularity=0.1)
    scorer = Scorer(model, Untrained(rules, popularity, 10), mixture)
    dense = NextItemPredictor(scorer, vocabulary, 50)
    short = replace(dense, shortlist=Shortlist(scorer, index, np.argsort(-popularity, kind="stable") + 1))
    requests = [request([f"item-{code - 1}" for code in item[begin : begin + 20]]) for begin in range(0, 4_000, 20)]
    measured = times(lambda ask: short.predict([ask]), requests)
    all_items = times(lambda ask: dense.predict([ask]), requests[:EXACT_TIMED])
    return {
        "id": "index.1m.predict_p50_ms",
        "value": measured.p50,
        "peer": {"name": "scoring all items", "value": all_items.p50},
        "detail": measured.figures() | all_items.figures("all_items_") | {"events": 20, "threads": 1},
    }


def request(items: list[str]) -> NextItemRequest:
    return NextItemRequest(
        items=items,
        types=["view"] * len(items),
        times=[1.7e9 + 60.0 * number for number in range(len(items))],
        values=[None] * len(items),
        count=COUNT,
        exclude=items[:5],
    )


@dataclass(frozen=True)
class Times:
    """Milliseconds of each call: what passed, and what this thread worked, which others on the machine disturb less."""

    passed: list[float]
    worked: list[float]

    def figures(self, name: str = "") -> dict[str, float]:
        """Percentiles under `name` and their kind."""
        return {
            f"{name}p50_ms": self.p50,
            f"{name}p99_ms": float(np.percentile(self.passed, 99)),
            f"{name}cpu_p50_ms": float(np.percentile(self.worked, 50)),
            f"{name}cpu_p99_ms": float(np.percentile(self.worked, 99)),
        }

    @property
    def p50(self) -> float:
        return float(np.percentile(self.passed, 50))


def times(work: Callable[[Any], Any], inputs: Sequence[Any]) -> Times:
    """One input at a time, after ten to warm up."""
    for one in inputs[:10]:
        work(one)
    passed, worked = [], []
    for one in inputs:
        started, started_work = time.perf_counter(), time.thread_time()
        work(one)
        worked.append(1000 * (time.thread_time() - started_work))
        passed.append(1000 * (time.perf_counter() - started))
    return Times(passed, worked)
