"""Documents for long questions on tau2's banking knowledge: recall@20 beside words, meaning and their plain fusion.

Rank constant and weight of sentences are chosen on the tasks of even number and judged on the odd ones, and the other
way round; the value is the mean of both directions.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ml.nn.text_encoder import encoder_name, pretrained_encoder
from ml.serving.passages import Found, PassageSearch, Scores, reciprocal_ranks
from tests.benchmarks.records import Record
from tests.benchmarks.runner import spread

DEPTH = 20
CONSTANTS = (0.0, 5.0, 20.0, 60.0)
SENTENCE_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
# The constant of Cormack, Clarke and Büttcher (2009), for the floor.
PLAIN = 60.0

Case = tuple[Found, list[int]]


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """Raises SystemExit where the data are missing."""
    folder = Path(data) / "service" / "tau2_banking_knowledge" if data else None
    if folder is None or not folder.exists():
        raise SystemExit(
            "retrieval needs --data or SEQUITUR_DATA, a folder with service/tau2_banking_knowledge "
            "(tasks.json and documents/ as they are published)"
        )
    found = cases(folder)
    halves = (found[0::2], found[1::2])
    judged, chosen = [], []
    for tuned, test in (halves, halves[::-1]):
        settings = max(itertools.product(CONSTANTS, SENTENCE_WEIGHTS), key=lambda pair: fused_recall(tuned, *pair))
        judged.append(fused_recall(test, *settings))
        chosen.append(settings)
    plain = [recall(reciprocal_ranks(f.by_words, PLAIN) + reciprocal_ranks(f.by_meaning, PLAIN), r) for f, r in found]
    yield {
        "id": "service.tau2.recall20",
        "value": float(np.mean(judged)),
        **spread(judged),
        "floor": float(np.mean(plain)),
        "aim": ">= 0.55",
        "detail": {
            "words": float(np.mean([recall(f.by_words, r) for f, r in found])),
            "meaning": float(np.mean([recall(f.by_meaning, r) for f, r in found])),
            "constants": " and ".join(str(constant) for constant, _ in chosen),
            "sentence_weights": " and ".join(str(weight) for _, weight in chosen),
        },
    }


def cases(folder: Path) -> list[Case]:
    """What each task's scenario finds, and the numbers of the documents that it requires."""
    documents = [json.loads(file.read_text(encoding="utf-8")) for file in sorted((folder / "documents").glob("*.json"))]
    numbers = {document["id"]: number for number, document in enumerate(documents)}
    encode = pretrained_encoder(encoder_name()).encode
    search = PassageSearch([(document["title"], document["content"]) for document in documents], encode)
    return [
        (
            search.search(task["user_scenario"]["instructions"]),
            [numbers[name] for name in task["required_documents"]],
        )
        for task in json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    ]


def fused_recall(chosen: list[Case], constant: float, sentence_weight: float) -> float:
    return float(
        np.mean(
            [recall(f.fused(constant=constant, sentence_weight=sentence_weight), required) for f, required in chosen]
        )
    )


def recall(scores: Scores, required: list[int]) -> float:
    """The share of the required documents among the first DEPTH."""
    first = set(np.argsort(-scores, kind="stable")[:DEPTH].tolist())
    return len(first & set(required)) / len(required)
