"""A shop of twelve items whose visitors walk round the catalogue in its order, and a model that has learnt that."""

import itertools
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from apps.recommendation import selectors
from catalog.services import upsert_items
from ml.data.columns import write_columns
from ml.data.ranked_lists import write_ranked_lists
from ml.tasks.registry import TASKS
from serving import selectors as serving_selectors
from serving.artifacts import artifact_sha256, relative_path, run_folder
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

ITEMS = [f"item-{number:02d}" for number in range(12)]
TINY = {"epochs": 3, "dimension": 16, "layers": 1, "heads": 1, "max_length": 10, "seed": 1, "threads": 1}
_message_ids = itertools.count(1)


def catalogue(*, prefix: str = "item") -> list[dict[str, Any]]:
    """Even items are tents and odd ones boots; the price is the number."""
    return [
        {
            "id": f"{prefix}-{number:02d}",
            "title": f"{'Boot' if number % 2 else 'Tent'} {number}",
            "categories": ["boots" if number % 2 else "tents"],
            "price": float(number),
            "currency": "EUR",
        }
        for number in range(12)
    ]


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ring")
    generator = np.random.default_rng(0)
    steps = np.where(generator.random((60, 15)) < 0.85, 1, generator.integers(2, 12, (60, 15)))
    item = (generator.integers(0, 12, (60, 1)) + steps.cumsum(axis=1)) % 12
    hours = np.arange(15) + generator.random((60, 15)) * 0.8
    columns = write_columns(
        folder / "columns",
        subject=np.repeat(np.arange(60), 15),
        item=item.ravel() + 1,
        type=np.zeros(900, dtype=int),
        time=1_700_000_000 + 3600 * hours.ravel(),
        value=np.full(900, np.nan),
        items=ITEMS,
        types=["view"],
    )
    TASKS["next_item"].fit(columns, TINY, folder / "artifact", progress=lambda progress: None)
    return folder / "artifact"


@pytest.fixture
def shop(tenant: Tenant) -> Tenant:
    """A tenant with a catalogue, and neither events nor a model."""
    with tenant_scope(tenant.id):
        upsert_items(catalogue())
    return tenant


def publish(tenant: Tenant, artifact: Path, *, model: str, task: str) -> ModelVersion:
    """A live version with a copy of the artifact, past the gate."""
    with tenant_scope(tenant.id):
        run = TrainingRun.objects.create(model=model, task=task, status=RunStatus.SUCCEEDED, finished_at=timezone.now())
        folder = run_folder(tenant.id, model, run.id) / "1"
        shutil.copytree(artifact, folder)
        version = ModelVersion.objects.create(
            model=model,
            number=1,
            task=task,
            run=run,
            artifact=relative_path(folder),
            artifact_sha256=artifact_sha256(folder),
        )
        promote(version=version, actor="test")
    return version


@pytest.fixture
def live_model(shop: Tenant, artifact: Path) -> ModelVersion:
    return publish(shop, artifact, model="next-item", task="next_item")


@pytest.fixture(scope="session")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A re-ranker that has learnt from lists in which what matches the query's words in the title was chosen."""
    folder = tmp_path_factory.mktemp("ranker")
    generator = np.random.default_rng(0)
    lists, length = 300, 8
    match = generator.random((lists, length)) < 0.25
    chosen = np.where(match.any(axis=1), match.argmax(axis=1), generator.integers(0, length, lists))
    grade = np.zeros((lists, length))
    grade[np.arange(lists), chosen] = 1.0
    columns = [
        np.tile(-np.log2(np.arange(1, length + 1)), lists),
        generator.normal(size=lists * length),
        match.ravel().astype(float),
    ]
    shown = write_ranked_lists(
        folder / "lists",
        list_of_row=np.repeat(np.arange(lists), length),
        time=np.arange(lists),
        rank=np.tile(np.arange(1, length + 1), lists),
        grade=grade.ravel(),
        features=np.column_stack(columns),
        names=["client_rank", "popularity", "title_match"],
    )
    TASKS["search_ranking"].fit(shown, {"epochs": 5}, folder / "artifact", progress=lambda progress: None)
    return folder / "artifact"


@pytest.fixture
def live_ranker(shop: Tenant, ranker: Path) -> ModelVersion:
    return publish(shop, ranker, model="search-ranking", task="search_ranking")


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """What a process remembers between requests starts empty in each test."""
    selectors._scenarios.clear()
    serving_selectors._lines.clear()


@pytest.fixture
def post_events(api: ApiClient) -> Callable[..., list[str]]:
    """post_events("item-03", "item-04", type="view", user_id="u1", days_ago=2) in this order, a minute apart."""

    def post(
        *items: str, type: str = "view", days_ago: float = 0, consent: dict[str, bool] | None = None, **subject: str
    ) -> None:
        start = datetime.now(UTC) - timedelta(days=days_ago, minutes=len(items) + 1)
        events = [
            {
                "message_id": f"m-{next(_message_ids)}",
                "type": type,
                "subject": subject,
                "item_id": item,
                "created_at": (start + timedelta(minutes=minute)).isoformat(),
                **({"consent": consent} if consent else {}),
            }
            for minute, item in enumerate(items)
        ]
        answer = api.post("events", {"events": events})
        assert answer.status_code == 200, answer.content
        assert answer.json()["counts"]["ok"] == len(items), answer.json()

    return post


@pytest.fixture
def recommend(api: ApiClient) -> Callable[..., dict[str, Any]]:
    """recommend("home", user_id="u1", count=3) posts the request and gives the answer's body."""

    def post(scenario: str = "home", *, user_id: str | None = None, **request: Any) -> dict[str, Any]:
        subject = request.pop("subject", None) or {"user_id": user_id or "somebody"}
        answer = api.post("recommendations", {"scenario": scenario, "subject": subject} | request)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return post


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["id"] for item in answer["items"]]


@pytest.fixture
def walkers(live_model: ModelVersion, post_events: Callable[..., None]) -> ModelVersion:
    """Twelve users, each of whom walked three steps and bought what would have come next."""
    for number in range(12):
        post_events(*(ITEMS[(number + step) % 12] for step in range(3)), user_id=f"u{number:02d}")
        post_events(ITEMS[(number + 3) % 12], type="purchase", user_id=f"u{number:02d}")
    return live_model
