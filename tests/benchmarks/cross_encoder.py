"""A cross-encoder behind the retrieval of tau2's banking knowledge: recall with and without it.

It is trained on titles and contents of the documents alone, by the task that trains a tenant's own: for each title the
contents that a search without titles ranks high, of which those of its document are right. Titles that are held out
choose the epoch and what places count. The questions are the tasks' scenarios, searched as `retrieval` searches them.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.data.passage_lists import PassageLists
from ml.serving.cross_encoder import CrossEncoderPredictor
from ml.serving.cross_encoder_requests import ASKED_READ, CrossEncoderRequest, asked_beside
from ml.serving.passages import (
    PassageSearch,
    Scores,
    UsualQuestion,
    Weighing,
    distinct_sentences,
    reciprocal_ranks,
    sentences,
)
from ml.tasks.registry import TASKS
from tests.benchmarks.records import Record
from tests.benchmarks.retrieval import PLAIN, Case, both_ways, read_cases, recall
from tests.benchmarks.runner import spread

# One training, for some minutes of a core; `tokens` is what the task reads by default.
SEEDS = (0,)
# Passages of a title's list, and of a scenario's that are read: of few more than 20 the first 20 could hardly change.
LISTED, READ = 10, 40
TRAINING = {"held_out": 0.2, "passages": LISTED, "tokens": 96, "epochs": 1, "negatives": 3}


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """Raises SystemExit where the data are missing."""
    search, cases, documents = read_cases(data)
    halves = ((cases[0::2], cases[1::2]), (cases[1::2], cases[0::2]))
    _, weighings = both_ways(search, *halves[0])
    ranked = [
        (case, *rank(search, case, UsualQuestion.of([each.asked.text for each in known], search.encode), weighing))
        for (known, tested), weighing in zip(halves, weighings, strict=True)
        for case in tested
    ]
    without = float(np.mean([recall(search, scores, case.required) for case, scores, _ in ranked]))
    lists = title_lists(search, documents)
    found, reports = [], []
    for seed in SEEDS:
        predictor, report = train(lists, seed)
        reports.append(report)
        found.append(
            float(np.mean([recall(search, crossed(search, predictor, *each), each[0].required) for each in ranked]))
        )
    yield {
        "id": "service.tau2.cross_encoder_recall20",
        "value": float(np.mean(found)),
        **spread(found),
        "floor": without,
        "detail": {
            "passages_read": READ,
            "gain": float(np.mean(found)) - without,
            "titles_mrr": float(np.mean([report["score"] for report in reports])),
            "titles_mrr_without": reports[0]["baselines"]["sentences"],
            "place_weights": " and ".join(str(report["mixture"]["place"]) for report in reports),
        },
    }


def rank(search: PassageSearch, case: Case, usual: UsualQuestion, weighing: Weighing) -> tuple[Scores, list[str]]:
    """(passages,) scores as `retrieval` gives them, and what is read of the scenario beside each of the best READ."""
    moved = distinct_sentences(case.asked.sentences, usual.vector, weighing)
    scores = search.weighed(case.asked, usual, weighing)
    parts = sentences(case.asked.text)
    return scores, [asked_beside(parts, moved, search.vectors[each]) for each in best_of(scores)]


def best_of(scores: Scores) -> list[int]:
    chosen: list[int] = np.argsort(-scores, kind="stable")[:READ].tolist()
    return chosen


def crossed(
    search: PassageSearch, predictor: CrossEncoderPredictor, case: Case, scores: Scores, asked: Sequence[str]
) -> Scores:
    """(passages,): the best READ in their new order, above all others."""
    best = best_of(scores)
    request = CrossEncoderRequest(asked=list(asked), passages=[search.passages[number] for number in best])
    new = np.array(predictor.predict([request])[0]["scores"])
    moved = scores - scores.max()
    moved[best] = 1.0 + new - new.min()
    return moved


def train(lists: PassageLists, seed: int) -> tuple[CrossEncoderPredictor, dict[str, Any]]:
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "artifact"
        settings = {**TRAINING, "seed": seed, "threads": threads}
        report = TASKS["cross_encoder"].fit(lists, settings, out, progress=lambda _: None)
        predictor = CrossEncoderPredictor.load(out)
    return replace(predictor, reading=replace(predictor.reading, passages=READ)), report.to_dict()


def title_lists(search: PassageSearch, documents: Sequence[tuple[str, str]]) -> PassageLists:
    """For each title the best passages of a search that knows contents alone, and the right ones that it missed."""
    bare = PassageSearch([("", content) for _, content in documents], search.encode)
    owner = np.repeat(np.arange(len(documents)), np.diff([*bare.starts, len(bare.vectors)]))
    rows = []
    for number in np.random.default_rng(0).permutation(len(documents)):
        asked = bare.read(documents[number][0])
        scores = bare.weighed(asked, None, Weighing(shift=0.0))
        found = np.argsort(-scores, kind="stable")[:LISTED].tolist()
        missed = [each for each in np.flatnonzero(owner == number).tolist() if each not in found]
        plain = [reciprocal_ranks(each, PLAIN) for each in (bare.by_words(asked), bare.by_meaning(asked))]
        fused = np.argsort(np.argsort(-(plain[0] + plain[1]), kind="stable"))
        rows.append((number, [*found, *missed], len(found), fused))
    return PassageLists(
        asked=[[documents[number][0][:ASKED_READ]] * len(listed) for number, listed, _, _ in rows],
        passages=[[bare.passages[each].strip() for each in listed] for _, listed, _, _ in rows],
        right=[[bool(owner[each] == number) for each in listed] for number, listed, _, _ in rows],
        fused=[[int(fused[each]) for each in listed] for _, listed, _, fused in rows],
        found=[count for _, _, count, _ in rows],
        groups=[str(number) for number, _, _, _ in rows],
        times=[float(place) for place in range(len(rows))],
    )
