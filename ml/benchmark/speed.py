"""How fast a trained model answers, and how much of the machine its training uses."""

import time

import numpy as np
import torch
from torch import nn

from ml.benchmark.datasets import Dataset
from ml.data.vocabulary import Vocabulary
from ml.nn.sequence_model import SequenceModel
from ml.serving.lists import top_lists
from ml.serving.next_item import NextItemPredictor
from ml.serving.requests import NextItemRequest
from ml.serving.scorer import Scorer
from ml.tasks.config import NextItemConfig
from ml.tasks.next_item_training import sampled

COUNT = 10
# More users would not change the rate, and their requests would fill the memory.
MOST_REQUESTS = 2_000
# Single questions whose latency is measured, after as many again to warm up.
QUESTIONS = 100
ATTENDING = ("transformer", "gated", "bidirectional")
MATRIX = 2048
PRODUCTS = 10


def answering_speed(dataset: Dataset, scorer: Scorer, settings: NextItemConfig) -> dict[str, float]:
    """Top-10 lists of the test users a second, as `top_lists` makes them; the same as predictions with reasons, by the
    predictor that serves; and the latency of one such prediction in milliseconds."""
    started = time.perf_counter()
    top_lists(
        scorer,
        dataset.columns,
        dataset.split.test,
        count=COUNT,
        max_length=settings.max_length,
        exclude_seen=settings.exclude_seen,
    )
    lists_per_second = len(dataset.split.test) / (time.perf_counter() - started)
    vocabulary = Vocabulary(dataset.columns.items, dataset.columns.types)
    predictor = NextItemPredictor(scorer, vocabulary, settings.max_length)
    requests = requests_of(dataset, exclude_seen=settings.exclude_seen)
    started = time.perf_counter()
    predictor.predict(requests)
    seconds = time.perf_counter() - started
    latencies = []
    for number in range(2 * QUESTIONS):
        begun = time.perf_counter()
        predictor.predict([requests[number % len(requests)]])
        latencies.append(1000 * (time.perf_counter() - begun))
    p50, p99 = np.percentile(latencies[QUESTIONS:], [50, 99])
    return {
        "lists_per_second": lists_per_second,
        "predictions_per_second": len(requests) / seconds,
        "one_user_p50_ms": float(p50),
        "one_user_p99_ms": float(p99),
    }


def requests_of(dataset: Dataset, *, exclude_seen: bool) -> list[NextItemRequest]:
    """What a shop would ask for the test users, one each."""
    columns, cases = dataset.columns, dataset.split.test.take(slice(MOST_REQUESTS))
    requests: list[NextItemRequest] = []
    for start, target in zip(cases.start, cases.target, strict=True):
        part = slice(start, target)
        items = [columns.items[code - 1] for code in columns.item[part]]
        requests.append(
            NextItemRequest(
                items=items,
                types=[columns.types[code] for code in columns.type[part]],
                times=[float(time) for time in columns.time[part]],
                values=[None if np.isnan(value) else float(value) for value in columns.value[part]],
                count=COUNT,
                exclude=items if exclude_seen else [],
            )
        )
    return requests


def training_flops_per_event(model: SequenceModel, settings: NextItemConfig, mean_length: float) -> float:
    """Floating-point operations that one training event costs, by count and not by measurement.

    3 * 2 * (W + D * J + A * D * L): a forward pass and a backward one of twice its cost, two operations for each
    multiply-add. W are the weights of all matrices but the embedding tables, which are looked up; D * J is the output
    layer over J items, or over the negatives of a sampled loss; A attentions (one a layer, and the pooling) look at
    L / 2 earlier events in the mean, once for the weights and once for the sum, L being the mean length of a window.
    """
    tables = {id(table.weight) for table in model.modules() if isinstance(table, nn.Embedding)}
    matrices = sum(p.numel() for p in model.parameters() if p.ndim >= 2 and id(p) not in tables)
    items = len(model.bias)
    outputs = settings.dimension * (settings.negatives if sampled(settings, items) else items)
    attentions = 1 + (settings.layers if settings.encoder in ATTENDING else 0)
    return 6.0 * (matrices + outputs + attentions * settings.dimension * mean_length)


@torch.inference_mode()
def peak_flops(device: torch.device) -> float:
    """Operations a second of large matrix products: float32 on torch's threads, or bfloat16 on a GPU."""
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    left = torch.randn(MATRIX, MATRIX, device=device, dtype=kind)
    best = 0.0
    for _ in range(PRODUCTS):
        started = time.perf_counter()
        product = left @ left
        # Reading a value waits for the device.
        float(product[0, 0])
        best = max(best, 2.0 * MATRIX**3 / (time.perf_counter() - started))
    return best
