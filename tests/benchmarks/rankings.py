"""Re-ranking 200 candidates over HTTP, with both models live: the next-item model and the re-ranker.

A catalogue of 10,000 items, 30 hours of counts for each, subjects of 20 events, and a real gunicorn on loopback with
the inference in its own process (`inline`) or in a Celery worker (`queue`).
"""

import itertools
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection

from behavior.services import store_events
from catalog.services import upsert_items
from ml.data.columns import write_columns
from ml.data.ranked_lists import write_ranked_lists
from ml.tasks.registry import TASKS
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.benchmarks.load import Question, answered_by, latencies, percentile
from tests.benchmarks.serve import ENVIRONMENT, item_id, publish, serving
from tests.conftest import make_client, make_tenant
from tests.database import vacuum
from tests.processes import running_worker

ITEMS = 10_000
SUBJECTS = 300
EVENTS_A_SUBJECT = 20
HOURS_COUNTED = 30
CANDIDATES = 200
BATCH = 5_000
CLIENTS = (1, 8)
SECONDS = 6.0
FEATURES = [
    *("client_score", "client_rank", "sequence", "title_match", "brand_match", "category_match"),
    *("popularity", "click_rate", "price", "brand_affinity", "category_affinity"),
]
WORDS = ("light", "tent", "trail", "boot", "stove", "rope", "warm", "jacket")
COUNTS = """
    INSERT INTO behavior_itempopularity (tenant_id, hour, item_id, type, count)
    SELECT %s, date_trunc('hour', now()) - make_interval(hours => number), 'item-' || lpad(item::text, 6, '0'),
        'view', 3
    FROM generate_series(0, %s - 1) AS item, generate_series(1, %s) AS number"""


def measure(*, data: Path | None, full: bool) -> list[dict[str, Any]]:
    seconds = SECONDS * (4 if full else 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tenant = make_tenant()
        fill(tenant)
        publish(tenant, train_next_item(folder), model="next-item", task="next_item")
        version = publish(tenant, train_ranker(folder), model="search-ranking", task="search_ranking")
        key = make_client(tenant).raw_key
        ranking = Question("ranking", "rankings", request_of, answered_by(str(version.id)))
        with serving(folder, "inline") as (address, _):
            inline = {clients: latencies(address, key, ranking, clients, seconds) for clients in CLIENTS}
        with serving(folder, "queue") as (address, _), running_worker(folder / "infer.log", "infer", ENVIRONMENT):
            queue = {clients: latencies(address, key, ranking, clients, seconds) for clients in CLIENTS}
    return [record("serve.rank200.p99_ms", inline), record("serve.rank200.queue_p99_ms", queue)]


def record(name: str, measured: dict[int, list[float]]) -> dict[str, Any]:
    """p99 of one client alone, and everything beside it."""
    detail: dict[str, Any] = {"items": ITEMS, "candidates": CANDIDATES}
    for clients, found in measured.items():
        detail[f"p50_ms_{clients}"] = percentile(found, 50)
        detail[f"p99_ms_{clients}"] = percentile(found, 99)
    return {"id": name, "value": detail["p99_ms_1"], "aim": "<= 50 ms", "detail": detail}


def fill(tenant: Tenant) -> None:
    generator = np.random.default_rng(0)
    items = (
        {
            "id": item_id(number),
            "title": " ".join(generator.choice(WORDS, 3)),
            "brand": f"brand-{number % 50}",
            "categories": [f"category-{number % 20}"],
            "price": number % 500,
        }
        for number in range(ITEMS)
    )
    while batch := list(itertools.islice(items, BATCH)):
        with tenant_scope(tenant.id):
            upsert_items(batch)
    start = datetime.now(UTC) - timedelta(days=1)
    events = [
        {
            "message_id": f"{subject}-{number}",
            "type": "view",
            "subject": {"user_id": f"user-{subject}"},
            "item_id": item_id(int(item)),
            "created_at": (start + timedelta(minutes=number)).isoformat(),
        }
        for subject in range(SUBJECTS)
        for number, item in enumerate(generator.integers(0, ITEMS, EVENTS_A_SUBJECT))
    ]
    with tenant_scope(tenant.id), connection.cursor() as cursor:
        store_events(events=events, source="benchmark")
        cursor.execute(COUNTS, [tenant.id, ITEMS, HOURS_COUNTED])
    vacuum()


def train_next_item(folder: Path) -> Path:
    """Its speed is that of a good one, which is all that counts here."""
    item = np.random.default_rng(0).permutation(ITEMS * 2) % ITEMS
    columns = write_columns(
        folder / "columns",
        subject=np.repeat(np.arange(len(item) // EVENTS_A_SUBJECT), EVENTS_A_SUBJECT),
        item=item + 1,
        type=np.zeros(len(item), dtype=int),
        time=1.7e9 + 60.0 * np.arange(len(item)),
        value=np.full(len(item), np.nan),
        items=[item_id(number) for number in range(ITEMS)],
        types=["view"],
    )
    settings = {"epochs": 1, "evaluation_cases": 100, "seed": 0}
    TASKS["next_item"].fit(columns, settings, folder / "next-item", progress=lambda progress: None)
    return folder / "next-item"


def train_ranker(folder: Path) -> Path:
    lists, length = 300, 20
    generator = np.random.default_rng(0)
    shown = write_ranked_lists(
        folder / "lists",
        list_of_row=np.repeat(np.arange(lists), length),
        time=np.arange(lists),
        rank=np.tile(np.arange(1, length + 1), lists),
        grade=np.tile(np.arange(length) == 3, lists),
        features=generator.normal(size=(lists * length, len(FEATURES))),
        names=FEATURES,
    )
    TASKS["search_ranking"].fit(shown, {"epochs": 1}, folder / "ranker", progress=lambda progress: None)
    return folder / "ranker"


def request_of(turn: int) -> dict[str, Any]:
    items = np.random.default_rng(turn).choice(ITEMS, CANDIDATES, replace=False).tolist()
    candidates = [{"id": item_id(item), "score": 20.0 - 0.1 * place} for place, item in enumerate(items)]
    return {"subject": {"user_id": f"user-{turn % SUBJECTS}"}, "query": "light tent", "candidates": candidates}
