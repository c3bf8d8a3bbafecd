"""Choosing replies: JDDC's Chinese conversations beside BM25, and what the customers' events add where words are few.

The encoder learns from the training pairs alone, of which the last ones choose; JDDC's development pairs are ranked
once, by the finished artifact. Results of each seed are kept under var/benchmarks until the whole has ended.
"""

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ml.data.reply_pairs import ReplyPairs, reply_lists
from ml.serving.bm25 import Bm25Index
from ml.serving.predictor import load_predictor
from ml.serving.replies import Candidate, ReplyPredictor, ReplyRequest
from ml.simulation.replies import SITUATIONS, best_accuracy_of_words, simulate_replies
from ml.tasks.registry import TASKS
from ml.tasks.replies import METRIC, rank_scores, ranks_of
from tests.benchmarks.records import Record, measured_commit
from tests.benchmarks.runner import HOME, Result, Runner, mean, spread

SEEDS = (0, 1, 2)
CANDIDATES = 100
# BM25 is asked with so many of the last messages; the best of them on the development pairs is the floor.
MESSAGES = (1, 2, 3, 5, 8, 20)
SIMULATED, SIMULATED_TESTS = 3_000, 2_000


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """Raises SystemExit where the data are missing."""
    folder = Path(data) / "service" / "jddc" if data else None
    if folder is None or not folder.exists():
        raise SystemExit(
            "replies needs --data or SEQUITUR_DATA, a folder with service/jddc (trainQuestions.txt, trainAnswers.txt, "
            "devQuestions.txt, devAnswers.txt of the JDDC baseline)"
        )
    kept = HOME / "benchmarks" / "replies"
    runner = Runner(folder, kept, measured_commit())
    yield events_gain(runner)
    yield jddc_gain(runner, folder)
    shutil.rmtree(kept, ignore_errors=True)


def jddc_gain(runner: Runner, folder: Path) -> Record:
    """The gain in MRR over BM25, as a share of BM25's."""
    train, test = jddc(folder, "train"), jddc(folder, "dev")
    floor = max((words_alone(test, messages) for messages in MESSAGES), key=lambda one: one[METRIC])
    by_seed = []
    for seed in SEEDS:
        model = runner.keep(["jddc", seed], partial(judge, train, test, seed))
        by_seed.append({**model, **{f"words_{name}": value for name, value in floor.items()}})
        print(f"jddc, seed {seed}: {by_seed[-1]}", flush=True)
    gains = [one[METRIC] / one[f"words_{METRIC}"] - 1.0 for one in by_seed]
    first = mean(by_seed, "recall@1") / mean(by_seed, "words_recall@1") - 1.0
    return {
        "id": "service.jddc.gain",
        "value": float(np.mean(gains)),
        **spread(gains),
        "floor": 0.0,
        "aim": ">= 0.2",
        "detail": {"recall@1_gain": first, **{name: mean(by_seed, name) for name in by_seed[0]}},
    }


def jddc(folder: Path, part: str) -> ReplyPairs:
    """Lines hold the messages of a conversation, and those of its answer, with commas between them."""
    questions, answers = (
        [line.rstrip(",") for line in (folder / f"{part}{name}.txt").read_text(encoding="utf-8").split("\n") if line]
        for name in ("Questions", "Answers")
    )
    return ReplyPairs([question.split(",") for question in questions], answers)


def judge(train: ReplyPairs, test: ReplyPairs, seed: int) -> Result:
    with tempfile.TemporaryDirectory() as name:
        task, out = TASKS["replies"], Path(name) / "artifact"
        task.fit(train, {"seed": seed, "threads": 1}, out, progress=lambda _: None)
        return task.evaluate(out, test, since=0.0, until=float("inf"))


def words_alone(test: ReplyPairs, messages: int) -> dict[str, float]:
    index = Bm25Index.build(test.replies)
    scores = index.scores(["\n".join(conversation[-messages:]) for conversation in test.conversations])
    lists = reply_lists(test.replies, CANDIDATES, seed=0)
    return rank_scores(ranks_of(np.take_along_axis(scores, lists, axis=1)))


def events_gain(runner: Runner) -> Record:
    """Right first choices of the model that reads events, less those of the one that reads words alone."""
    with_events, without = (
        [runner.keep(["simulated", seed, events], partial(judge_simulated, seed, events)) for seed in SEEDS]
        for events in (True, False)
    )
    gains = [one["right"] - other["right"] for one, other in zip(with_events, without, strict=True)]
    return {
        "id": "service.replies.events_gain",
        "value": float(np.mean(gains)),
        **spread(gains),
        "detail": {
            "with_events": mean(with_events, "right"),
            "words_alone": mean(without, "right"),
            "best_of_words_alone": best_accuracy_of_words(),
            "attention_on_deciding": mean(with_events, "attention"),
        },
    }


def judge_simulated(seed: int, events: bool) -> Result:
    """All replies of the simulated desk are candidates."""
    train = simulate_replies(SIMULATED, generator=np.random.default_rng([seed, 0]))
    test = simulate_replies(SIMULATED_TESTS, generator=np.random.default_rng([seed, 1]))
    settings = {"seed": seed, "threads": 1, "events": events, "candidates": len(SITUATIONS)}
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "artifact"
        TASKS["replies"].fit(train, settings, out, progress=lambda _: None)
        predictor = load_predictor(out)
        assert isinstance(predictor, ReplyPredictor)
    replies = {situation: reply for situation, (_, reply) in SITUATIONS.items()}
    candidates = [Candidate(id=situation, text=reply) for situation, reply in replies.items()]
    histories = test.events_of(np.arange(len(test)))
    answers = predictor.predict(
        [
            ReplyRequest(conversation=conversation, events=history, candidates=candidates)
            for conversation, history in zip(test.conversations, histories, strict=True)
        ]
    )
    right = [replies[answer["replies"][0]["id"]] == reply for answer, reply in zip(answers, test.replies, strict=True)]
    situation_of = {reply: situation for situation, reply in replies.items()}
    on_deciding = [
        sum(
            share
            for share, event in zip(answer["attention"], history, strict=True)
            if event["type"] == SITUATIONS[situation_of[reply]][0][-1]
        )
        for answer, history, reply in zip(answers, histories, test.replies, strict=True)
    ]
    return {"right": float(np.mean(right)), "attention": float(np.mean(on_deciding))}
