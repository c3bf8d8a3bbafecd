"""Recommendations over HTTP under load, beside the pure model forward, and how soon an event shows in the next list.

A catalogue of 100,000 items, a model of as many, and a real gunicorn on loopback with the inference in its own process
(`inline`) or in a Celery worker (`queue`). The model is trained for one short epoch: its speed is the same as a good
one's.
"""

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from django.utils import timezone

from behavior.popularity import refresh_item_popularity
from behavior.services import store_events
from catalog.services import upsert_items
from ml.data.columns import write_columns
from ml.serving.predictor import load_predictor
from ml.serving.requests import NextItemRequest
from ml.tasks.registry import TASKS
from serving.artifacts import artifact_sha256, relative_path, run_folder
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.benchmarks.load import Connection, MemoryWatch, Question, answered_by, ask_all, latencies, percentile
from tests.conftest import make_client, make_tenant
from tests.database import vacuum
from tests.processes import Process, running_web, running_worker

ITEMS = 100_000
SUBJECTS = 500
EVENTS_A_SUBJECT = 20
BATCH = 5_000
CLIENTS = (1, 8, 32)
SECONDS = 8.0
CANDIDATES = 200
CLIENTS_OF_MIXTURE = 4
MIXTURE_SECONDS = 1800.0
AIMS = {"recommend": "<= 25 ms", "similar": "<= 15 ms", "popular": "<= 15 ms"}
# As `manage.py up` starts them on a machine of few cores.
PROCESSES = 2
THREADS = 4
EFFECTS = 20
SETTINGS = {"epochs": 1, "evaluation_cases": 100, "threads": 2, "seed": 0}
# The rate limit is not what is measured here.
ENVIRONMENT = {"API_REQUESTS_PER_MINUTE": "100000000", "OMP_NUM_THREADS": "1"}


def measure(*, data: Path | None, full: bool) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tenant = make_tenant()
        histories = fill(tenant)
        version = publish(tenant, train(folder))
        key = make_client(tenant).raw_key
        forward = time_forward(folder / "artifact", histories)
        seconds = SECONDS * (4 if full else 1)
        questions = questions_about(version)
        with serving(folder, "inline") as (address, server):
            bare = latencies(address, key, BARE, 8, seconds)
            for question in questions:
                inline = {clients: latencies(address, key, question, clients, seconds) for clients in CLIENTS}
                yield record(f"serve.{question.name}.p99_ms", inline, forward, bare, aim=AIMS[question.name])
            effect = time_to_effect(address, key)
            yield {
                "id": "loop.event_to_effect_s",
                "value": max(effect),
                "aim": "<= 2 s",
                "detail": {"median_s": float(np.median(effect)), "tries": len(effect)},
            }
            if full:
                yield from mixture(address, key, [*questions, RERANKING, EVENT], server)
        with serving(folder, "queue") as (address, _), running_worker(folder / "infer.log", "infer", ENVIRONMENT):
            queue = {clients: latencies(address, key, questions[0], clients, seconds) for clients in CLIENTS}
            yield record("serve.recommend.queue_p99_ms", queue, forward, bare, aim="<= 40 ms")


def questions_about(version: ModelVersion) -> list[Question]:
    """Each must be answered by the version itself where it has a say."""
    by_the_model = answered_by(str(version.id))
    return [
        Question(
            "recommend", "recommendations", lambda turn: {"scenario": "home", "subject": subject(turn)}, by_the_model
        ),
        Question(
            "similar",
            "recommendations",
            # The first item of a walk, which the model knows a follower of.
            lambda turn: asking("product", turn) | {"items": [item_id(turn * 7919 % ITEMS // 20 * 20)]},
            by_the_model,
        ),
        Question("popular", "recommendations", lambda turn: asking("popular", turn)),
    ]


def asking(scenario: str, turn: int) -> dict[str, Any]:
    return {"scenario": scenario, "subject": subject(turn)}


def subject(turn: int) -> dict[str, str]:
    return {"user_id": f"user-{turn % SUBJECTS}"}


def candidates_of(turn: int) -> dict[str, Any]:
    """A search that found 200 items, as a shop's own engine scores them."""
    found = [(turn * 7919 + 101 * place) % ITEMS for place in range(CANDIDATES)]
    candidates = [{"id": item_id(item), "score": 20.0 / (1 + place)} for place, item in enumerate(found)]
    return {"subject": subject(turn), "query": f"item {found[0]}", "candidates": candidates, "count": 24}


RERANKING = Question("rerank", "rankings", candidates_of)
# The least that an authenticated answer of this server takes, whatever it is about.
BARE = Question("bare", "filters", lambda turn: None)
EVENT = Question(
    "event",
    "events",
    lambda turn: {
        "message_id": f"mixture-{time.time_ns()}-{turn}",
        "type": "view",
        "item_id": item_id(turn * 31 % ITEMS),
        "subject": subject(turn),
    },
)


def mixture(address: str, key: str, questions: list[Question], server: Process) -> Iterator[dict[str, Any]]:
    """All kinds of questions for half an hour."""
    with MemoryWatch(server.popen.pid) as memory:
        measured = ask_all(address, key, questions, CLIENTS_OF_MIXTURE, MIXTURE_SECONDS)
    detail = {
        f"{name}_{rank}_ms": percentile(found, 50 if rank == "p50" else 99)
        for name, found in measured.latencies.items()
        for rank in ("p50", "p99")
    }
    answers = sum(len(found) for found in measured.latencies.values())
    detail |= {"answers": answers, "minutes": MIXTURE_SECONDS / 60, "clients": CLIENTS_OF_MIXTURE}
    detail |= {"memory_mb": memory.megabytes[-1]}
    yield {"id": "serve.mixture.errors", "value": len(measured.problems), "aim": "<= 0", "detail": detail}
    yield {"id": "serve.mixture.memory_growth", "value": memory.growth, "aim": "<= 0.05"}


def record(
    name: str, measured: dict[int, list[float]], forward: list[float], bare: list[float], *, aim: str
) -> dict[str, Any]:
    """p99 at 8 clients, and everything beside it: what the model alone takes, and what an answer takes that needs no
    more than a key and one row."""
    detail: dict[str, Any] = {"items": ITEMS, "processes": PROCESSES, "forward_p50_ms": percentile(forward, 50)}
    detail["forward_p99_ms"] = percentile(forward, 99)
    detail |= {"bare_p50_ms_8": percentile(bare, 50), "bare_p99_ms_8": percentile(bare, 99)}
    for clients, found in measured.items():
        detail[f"p50_ms_{clients}"] = percentile(found, 50)
        detail[f"p99_ms_{clients}"] = percentile(found, 99)
        detail[f"per_s_{clients}"] = 1000 * clients / float(np.mean(found))
    return {"id": name, "value": detail["p99_ms_8"], "aim": aim, "detail": detail}


def item_id(number: int) -> str:
    return f"item-{number:06d}"


def walks(subjects: int, events: int) -> np.ndarray:
    """Items (subjects, events): each subject walks on from a popular place, with jumps."""
    generator = np.random.default_rng(0)
    start = np.minimum(generator.zipf(1.2, (subjects, 1)), ITEMS) - 1
    steps = np.where(generator.random((subjects, events)) < 0.7, 1, generator.integers(0, ITEMS, (subjects, events)))
    return (start + steps.cumsum(axis=1)) % ITEMS


def fill(tenant: Tenant, title: Callable[[int], str] = "Item {}".format) -> list[list[str]]:
    """Catalogue and log; returns the items of each subject, oldest first."""
    items = ({"id": item_id(number), "title": title(number), "price": number % 500} for number in range(ITEMS))
    while batch := list(itertools.islice(items, BATCH)):
        with tenant_scope(tenant.id):
            upsert_items(batch)
    histories = [[item_id(item) for item in row] for row in walks(SUBJECTS, EVENTS_A_SUBJECT).tolist()]
    start = datetime.now(UTC) - timedelta(days=1)
    events = [
        {
            "message_id": f"{subject}-{number}",
            "type": "view",
            "subject": {"user_id": f"user-{subject}"},
            "item_id": item,
            "created_at": (start + timedelta(minutes=number)).isoformat(),
        }
        for subject, items_seen in enumerate(histories)
        for number, item in enumerate(items_seen)
    ]
    with tenant_scope(tenant.id):
        store_events(events=events, source="benchmark")
        refresh_item_popularity()
    vacuum()
    return histories


def train(folder: Path, walkers: int = 10_000) -> Path:
    item = walks(walkers, EVENTS_A_SUBJECT)
    # Every item once, so that the model knows all of them.
    item = np.concatenate([np.arange(ITEMS).reshape(-1, EVENTS_A_SUBJECT), item])
    subjects = len(item)
    columns = write_columns(
        folder / "columns",
        subject=np.repeat(np.arange(subjects), EVENTS_A_SUBJECT),
        item=item.ravel() + 1,
        type=np.zeros(item.size, dtype=int),
        time=1.7e9 + 60.0 * np.arange(item.size),
        value=np.full(item.size, np.nan),
        items=[item_id(number) for number in range(ITEMS)],
        types=["view"],
    )
    TASKS["next_item"].fit(columns, SETTINGS, folder / "artifact", progress=lambda progress: None)
    return folder / "artifact"


def publish(tenant: Tenant, artifact: Path, *, model: str = "next-item", task: str = "next_item") -> ModelVersion:
    """Past the gate, which would refuse a model that was trained for its speed alone."""
    with tenant_scope(tenant.id):
        run = TrainingRun.objects.create(model=model, task=task, status=RunStatus.SUCCEEDED, finished_at=timezone.now())
        place = run_folder(tenant.id, model, run.id) / "1"
        shutil.copytree(artifact, place)
        version = ModelVersion.objects.create(
            model=model,
            number=1,
            task=task,
            run=run,
            artifact=relative_path(place),
            artifact_sha256=artifact_sha256(place),
        )
        promote(version=version, actor="benchmark")
    return version


def time_forward(artifact: Path, histories: list[list[str]]) -> list[float]:
    """Milliseconds of single predictions in this process, with one thread as the server has."""
    torch.set_num_threads(1)
    predictor = load_predictor(artifact)
    latencies = []
    for items in histories[:200]:
        request = NextItemRequest(
            items=items,
            types=["view"] * len(items),
            times=[1.7e9 + 60.0 * number for number in range(len(items))],
            values=[None] * len(items),
            count=24,
        )
        started = time.perf_counter()
        predictor.predict([request])
        latencies.append(1000 * (time.perf_counter() - started))
    return latencies[10:]


@contextmanager
def serving(folder: Path, transport: str) -> Iterator[tuple[str, Process]]:
    environment = ENVIRONMENT | {"GATEWAY_TRANSPORT": transport}
    with running_web(
        folder / f"{transport}.log", environment=environment, threads=THREADS, workers=PROCESSES
    ) as served:
        yield served


def time_to_effect(address: str, key: str) -> list[float]:
    """Seconds from sending an event to having received a list that differs because of it."""
    connection = Connection(address, key)
    seconds = []
    for number in range(EFFECTS):
        subject = {"user_id": f"user-{number}"}
        request = {"scenario": "home", "subject": subject}
        before = [item["id"] for item in connection.post("recommendations", request)["items"]]
        event = {"type": "view", "item_id": item_id(1000 * (number + 1)), "subject": subject}
        started = time.perf_counter()
        connection.post("events", event | {"message_id": f"effect-{number}"})
        while [item["id"] for item in connection.post("recommendations", request)["items"]] == before:
            if time.perf_counter() - started > 10:
                raise AssertionError("the list did not change within 10 s")
        seconds.append(time.perf_counter() - started)
    return seconds
