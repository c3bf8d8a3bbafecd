"""Documents for long questions on tau2's banking knowledge: recall@20, stage by stage, beside words, meaning and their
plain fusion.

How passages are weighed, and what questions have in common, is taken from the tasks of even number and judged on the
odd ones, and the other way round; the value is the mean of both directions. Of the tasks that it is taken from, the
texts say what is usual and the required documents choose among settings; none trains anything. Neighbouring tasks of
this set are often alike, so the detail repeats the value for the first and the second half of the tasks.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.nn.text_encoder import RememberingEncoder, encoder_name, pretrained_encoder
from ml.serving.passages import Asked, PassageSearch, Scores, UsualQuestion, Weighing, reciprocal_ranks
from tests.benchmarks.records import Record
from tests.benchmarks.runner import spread

DEPTH = 20
SHIFTS = (0.0, 0.5, 0.75, 1.0)
SHARPNESSES = (4.0, 6.0, 8.0)
WORDS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
WEIGHINGS = [Weighing(*each) for each in itertools.product(SHIFTS, SHARPNESSES, WORDS)]
# The constant of Cormack, Clarke and Büttcher (2009), for the floor.
PLAIN = 60.0


@dataclass(frozen=True)
class Case:
    """A task's scenario as the search reads it, and the numbers of the documents that it requires."""

    asked: Asked
    required: list[int]


Rank = Callable[[Asked], Scores]


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """Raises SystemExit where the data are missing."""
    search, cases, _ = read_cases(data)
    judged, chosen = both_ways(search, cases[0::2], cases[1::2])
    far_apart, _ = both_ways(search, cases[: len(cases) // 2], cases[len(cases) // 2 :])
    plain = Weighing(shift=0.0, words=0.0)
    yield {
        "id": "service.tau2.recall20",
        "value": float(np.mean(judged)),
        **spread(judged),
        "floor": mean_recall(search, cases, lambda asked: fused(search, asked)),
        "aim": ">= 0.55",
        "detail": {
            "words": mean_recall(search, cases, search.by_words),
            "meaning": mean_recall(search, cases, search.by_meaning),
            "sentences": mean_recall(search, cases, lambda asked: search.weighed(asked, None, plain)),
            "sentences_and_words": mean_recall(search, cases, lambda asked: search.weighed(asked, None, Weighing())),
            "first_and_second_half": float(np.mean(far_apart)),
            "settings": " and ".join(f"{each.shift}, {each.sharpness}, {each.words}" for each in chosen),
        },
    }


def both_ways(search: PassageSearch, one: Sequence[Case], other: Sequence[Case]) -> tuple[list[float], list[Weighing]]:
    """Recall of each half with what the other one says, and how passages were weighed."""
    judged, chosen = [], []
    for tuned, test in ((one, other), (other, one)):
        weighing = max(WEIGHINGS, key=lambda each: mean_recall(search, tuned, weighed_by(search, tuned, each)))
        judged.append(mean_recall(search, test, weighed_by(search, tuned, weighing)))
        chosen.append(weighing)
    return judged, chosen


def weighed_by(search: PassageSearch, known: Sequence[Case], weighing: Weighing) -> Rank:
    usual = UsualQuestion.of([case.asked.text for case in known], search.encode)
    return lambda asked: search.weighed(asked, usual, weighing)


def fused(search: PassageSearch, asked: Asked) -> Scores:
    ranked = (search.of_documents(each) for each in (search.by_words(asked), search.by_meaning(asked)))
    return sum((reciprocal_ranks(scores, PLAIN) for scores in ranked), np.zeros(len(search.starts)))


def read_cases(data: Path | None) -> tuple[PassageSearch, list[Case], list[tuple[str, str]]]:
    """The search, the tasks, and the documents as (title, content). Raises SystemExit where the data are missing."""
    folder = Path(data) / "service" / "tau2_banking_knowledge" if data else None
    if folder is None or not folder.exists():
        raise SystemExit(
            "this needs --data or SEQUITUR_DATA, a folder with service/tau2_banking_knowledge "
            "(tasks.json and documents/ as they are published)"
        )
    documents = [json.loads(file.read_text(encoding="utf-8")) for file in sorted((folder / "documents").glob("*.json"))]
    numbers = {document["id"]: number for number, document in enumerate(documents)}
    encode = RememberingEncoder(pretrained_encoder(encoder_name())).encode
    texts = [(document["title"], document["content"]) for document in documents]
    search = PassageSearch(texts, encode)
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    cases = [
        Case(search.read(task["user_scenario"]["instructions"]), [numbers[name] for name in task["required_documents"]])
        for task in tasks
    ]
    return search, cases, texts


def mean_recall(search: PassageSearch, cases: Sequence[Case], rank: Rank) -> float:
    """Of the required documents the share among the first DEPTH; `rank` scores passages or documents."""
    return float(np.mean([recall(search, rank(case.asked), case.required) for case in cases]))


def recall(search: PassageSearch, scores: Scores, required: Sequence[int]) -> float:
    of_documents = scores if len(scores) == len(search.starts) else search.of_documents(scores)
    first = set(np.argsort(-of_documents, kind="stable")[:DEPTH].tolist())
    return len(first & set(required)) / len(required)
