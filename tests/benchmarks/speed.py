"""Training and scoring speed, memory and quality at equal time, beside the peers in the same run."""

import shutil
import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ml.benchmark.datasets import DATASETS, Dataset
from ml.evaluation.ranking import ranking_metrics
from ml.tasks.next_item_training import training_events
from tests.benchmarks.configurations import Configuration, Run
from tests.benchmarks.peers.environments import LISTS, RECTOOLS, REPLAY, SEQUENCES, Peer
from tests.benchmarks.records import Record
from tests.benchmarks.runner import HOME, Result, Runner, machine, mean, spread

PEERS = (RECTOOLS, REPLAY)
PLACE = HOME / "peers"
# Further down a list than it goes.
NOT_IN_THE_LIST = 10**9


def speed(configuration: Configuration, run: Runner) -> Iterator[Record]:
    """Rounds of a few epochs each, one program after the other; ratios are taken round by round."""
    content = configuration.content
    ours: list[Result] = []
    theirs: dict[str, list[dict[str, float]]] = {peer.key: [] for peer in PEERS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sequences(read(content["dataset"], run.data, folder), folder / SEQUENCES)
        for seed in configuration.seeds:
            one = configuration.run({"settings": {"epochs": content["epochs"]}})
            ours.append(run(Run(**{**vars(one), "seeds": (seed,)})))
            for peer in PEERS:
                asked = {"epochs": content["epochs"], "seed": seed, **arguments(configuration)}
                key = [peer.title, asked]
                theirs[peer.key].append(run.keep(key, partial(peer.measure, PLACE, folder, asked)))
    yield from speed_records(ours, theirs, content["aims"])


def speed_records(
    ours: list[Result], theirs: dict[str, list[dict[str, float]]], aims: dict[str, str]
) -> Iterator[Record]:
    """The records of rounds of which each has one result of ours and one of every peer's, in order."""
    seeds = [result["seeds"][0] for result in ours]
    about = {"machine": machine(ours[0])}
    for peer in PEERS:
        yield about | ratio(f"train.speed_vs_{peer.key}", seeds, "sequences_per_second", peer, theirs, aims)
    scoring = ratio(
        "score.speed_vs_rectools", seeds, "lists_per_second", RECTOOLS, theirs, aims, their_name="users_per_second"
    )
    scoring["detail"] |= {
        "with_reasons_per_s": mean(seeds, "predictions_per_second"),
        "replay_per_s": mean(theirs[REPLAY.key], "users_per_second"),
        "one_user_p50_ms": mean(seeds, "one_user_p50_ms"),
        "one_user_p99_ms": mean(seeds, "one_user_p99_ms"),
        **{
            f"{peer.key}_one_user_{rank}_ms": mean(theirs[peer.key], f"one_user_{rank}_ms")
            for peer in PEERS
            for rank in ("p50", "p99")
        },
    }
    yield about | scoring
    memory = {peer: max(one["peak_memory_mb"] for one in theirs[peer.key]) for peer in PEERS}
    smallest = min(PEERS, key=lambda peer: memory[peer])
    yield about | {
        "id": "train.peak_memory_mb",
        "value": max(seed["peak_memory_mb"] for seed in seeds),
        "peer": {"name": smallest.title, "value": memory[smallest]},
        "detail": {f"{peer.key}_mb": memory[peer] for peer in PEERS},
        **aim_of("train.peak_memory_mb", aims),
    }
    tokens = [seed["events_per_second"] for seed in seeds]
    yield about | {
        "id": "train.tokens_per_s",
        "value": statistics.mean(tokens),
        **spread(tokens),
        "detail": {name: mean(seeds, name) for name in ("share_of_peak", "flops_per_event", "peak_flops")},
    }


def equal_time(configuration: Configuration, run: Runner) -> Iterator[Record]:
    """NDCG@10 of every program after the same minutes of training, on the same cases and by the same code."""
    content = configuration.content
    result = run(configuration.run())
    theirs: dict[str, list[dict[str, float]]] = {peer.key: [] for peer in PEERS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = read(content["dataset"], run.data, folder)
        write_sequences(dataset, folder / SEQUENCES)
        for seed in configuration.seeds:
            for peer in PEERS:
                asked = {"minutes": content["budget_minutes"], "seed": seed, **arguments(configuration)}
                key = [peer.title, asked]
                theirs[peer.key].append(run.keep(key, partial(measure_lists, peer, dataset, folder, asked)))
    scores = {peer: mean(theirs[peer.key], "ndcg@10") for peer in PEERS}
    best = max(PEERS, key=lambda peer: scores[peer])
    seeds = result["seeds"]
    values = [seed["test"]["model"]["ndcg@10"] for seed in seeds]
    yield {
        "id": "recsys.equal-time.ndcg10",
        "value": statistics.mean(values),
        **spread(values),
        "floor": result["scores"]["sequential_rules"]["ndcg@10"]["mean"],
        "aim": content["aim"],
        "peer": {"name": best.title, "value": scores[best]},
        "machine": machine(result),
        "detail": {
            "minutes": content["budget_minutes"],
            "network": result["scores"]["network"]["ndcg@10"]["mean"],
            "epochs": mean(seeds, "epochs"),
            **{f"{peer.key}_ndcg10": score for peer, score in scores.items()},
            **{f"{peer.key}_epochs": mean(theirs[peer.key], "epochs") for peer in PEERS},
        },
    }


def measure_lists(peer: Peer, dataset: Dataset, folder: Path, asked: dict[str, Any]) -> dict[str, float]:
    """What the peer says, and our metrics of its lists."""
    measured = peer.measure(PLACE, folder, asked)
    with np.load(folder / LISTS, allow_pickle=False) as stored:
        return {**measured, **ranking_metrics(list_ranks(dataset, stored["lists"]))}


def read(name: str, data: Path, folder: Path) -> Dataset:
    shutil.rmtree(folder / "dataset", ignore_errors=True)
    return DATASETS[name](data, folder / "dataset")


def write_sequences(dataset: Dataset, file: Path) -> None:
    """The training events and the histories of the test cases, as peers/exchange.py describes them."""
    columns, cases = dataset.columns, dataset.split.test
    subject, item = columns.subject_of_events(), columns.item.astype(np.int64)
    trained = training_events(dataset.split)
    known = np.concatenate([np.arange(start, end) for start, end in zip(cases.start, cases.target, strict=True)])
    np.savez(
        file,
        train_subject=subject[trained],
        train_item=item[trained],
        history_subject=subject[known],
        history_item=item[known],
        subjects=subject[cases.target],
    )


def list_ranks(dataset: Dataset, lists: np.ndarray) -> np.ndarray:
    """The 1-based place of each test target in its list (cases, k) of item codes, or one beyond all lists."""
    found = lists == dataset.columns.item[dataset.split.test.target][:, None]
    return np.where(found.any(axis=1), 1 + found.argmax(axis=1), NOT_IN_THE_LIST)


def arguments(configuration: Configuration) -> dict[str, Any]:
    """The model that every program trains, in the words of peers/exchange.py; the rate is the one the peers advise."""
    content, settings = configuration.content, configuration.content["settings"]
    same = {name: settings[name] for name in ("dimension", "layers", "heads", "dropout", "max_length")}
    return same | {
        "batch_size": content["batch_size"],
        "threads": content["threads"],
        "learning_rate": content["peer_learning_rate"],
    }


def ratio(
    name: str,
    ours: list[dict[str, float]],
    rate: str,
    peer: Peer,
    theirs: dict[str, list[dict[str, float]]],
    aims: dict[str, str],
    their_name: str | None = None,
) -> Record:
    """How many times the peer's rate ours is."""
    their_name = their_name or rate
    ratios = [own[rate] / other[their_name] for own, other in zip(ours, theirs[peer.key], strict=True)]
    return {
        "id": name,
        "value": statistics.mean(ratios),
        **spread(ratios),
        "peer": {"name": peer.title, "value": mean(theirs[peer.key], their_name)},
        "detail": {rate: mean(ours, rate)},
        **aim_of(name, aims),
    }


def aim_of(name: str, aims: dict[str, str]) -> dict[str, str]:
    return {"aim": aims[name]} if name in aims else {}
