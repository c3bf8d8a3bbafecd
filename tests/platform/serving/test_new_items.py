"""Items that entered the catalogue after training, in the process that answers."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from catalog.services import delete_item, patch_item, upsert_items
from ml.data.item_features import write_item_features
from ml.tasks.registry import TASKS
from serving import engine, gateway, new_items
from serving.artifacts import resolve_artifact
from serving.models import ModelVersion
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.platform.serving.conftest import ITEMS, TINY, write_log
from tests.processes import Process
from tests.waiting import until

Publish = Callable[..., ModelVersion]
RequestAfter = Callable[..., Any]


def row(item_id: str, **values: Any) -> dict[str, Any]:
    return {"id": item_id, "title": item_id, "brand": "even", **values}


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the brand of its items."""
    folder = tmp_path_factory.mktemp("content")
    columns = write_log(folder / "columns")
    brand = ["odd" if number % 2 else "even" for number in range(len(ITEMS))]
    write_item_features(columns.path, items=ITEMS, attributes={"brand": brand})
    settings = TINY | {"inputs": ["attributes"]}
    TASKS["next_item"].fit(columns, settings, folder / "artifact", progress=lambda progress: None)
    return folder / "artifact"


@pytest.fixture
def live(tenant: Tenant, publish: Publish) -> ModelVersion:
    version = publish(tenant)
    with tenant_scope(tenant.id):
        upsert_items([row(item) for item in ITEMS])
        promote(version=version, actor="test")
    return version


@pytest.fixture
def refresh(tenant: Tenant, live: ModelVersion) -> Callable[[], list[str]]:
    """One look at the catalogue, and which new items the model then ranks."""
    folder = resolve_artifact(tenant.id, live.artifact)
    engine.predictors().get(folder)
    state = new_items.State(knows_content=True)

    def refresh() -> list[str]:
        new_items.refresh(tenant.id, folder, state)
        ranked = engine.predict(folder, [REQUEST])[0]["items"]
        return sorted(set(ranked) - set(ITEMS))

    return refresh


REQUEST: Any = {
    "items": ["item-03"],
    "types": ["view"],
    "times": [1.0],
    "values": [None],
    "count": 100,
}


def test_the_model_follows_the_catalogue(tenant: Tenant, refresh: Callable[[], list[str]]) -> None:
    assert refresh() == []
    with tenant_scope(tenant.id):
        upsert_items([row("new-1"), row("new-2", available=False), row("new-3", hidden=True)])
    assert refresh() == ["new-1"]
    with tenant_scope(tenant.id):
        patch_item(item_id="new-2", changes={"available": True})
        patch_item(item_id="new-1", changes={"hidden": True})
    assert refresh() == ["new-2"]


def test_an_item_is_known_by_what_it_is_now(tenant: Tenant, refresh: Callable[[], list[str]], live: Any) -> None:
    folder = resolve_artifact(tenant.id, live.artifact)

    def score() -> float:
        refresh()
        prediction = engine.predict(folder, [REQUEST])[0]
        return dict(zip(prediction["items"], prediction["scores"], strict=True))["new"]

    with tenant_scope(tenant.id):
        upsert_items([row("new")])
    as_even = score()
    with tenant_scope(tenant.id):
        upsert_items([row("new", brand="odd")])
    assert score() != as_even


def test_what_did_not_change_costs_no_new_model(
    tenant: Tenant, refresh: Callable[[], list[str]], live: ModelVersion
) -> None:
    folder = resolve_artifact(tenant.id, live.artifact)
    with tenant_scope(tenant.id):
        upsert_items([row("new")])
    refresh()
    grown = engine.predictors().held(folder)
    with tenant_scope(tenant.id):
        upsert_items([row(ITEMS[0], price=3), row("new", price=5)])
        delete_item(item_id=ITEMS[1])
    assert refresh() == ["new"]
    assert engine.predictors().held(folder) is grown


def test_a_model_that_came_back_into_memory_gets_its_new_items_again(
    tenant: Tenant, refresh: Callable[[], list[str]], live: ModelVersion
) -> None:
    folder = resolve_artifact(tenant.id, live.artifact)
    with tenant_scope(tenant.id):
        upsert_items([row("new")])
    assert refresh() == ["new"]
    engine.predictors().replace(folder, engine.open_predictor(folder))
    assert refresh() == ["new"]


def test_no_more_items_than_the_limit_are_added_and_the_newest_are(
    tenant: Tenant, refresh: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_items, "MOST_NEW_ITEMS", 2)
    for number in range(5):
        with tenant_scope(tenant.id):
            upsert_items([row(f"new-{number}")])
    assert refresh() == ["new-3", "new-4"]


def test_a_tenant_never_sees_the_items_of_another(
    tenant: Tenant, other_tenant: Tenant, refresh: Callable[[], list[str]]
) -> None:
    with tenant_scope(other_tenant.id):
        upsert_items([row("theirs")])
    assert refresh() == []


def wait_for_item(tenant: Tenant, item: str) -> gateway.Answer:
    def answer_with_it() -> gateway.Answer | None:
        with tenant_scope(tenant.id):
            answer = gateway.predict("next-item", REQUEST)
        return answer if answer.prediction and item in answer.prediction["items"] else None

    return until(answer_with_it)


def test_questions_in_this_process_find_a_new_item(tenant: Tenant, live: ModelVersion, settings: Any) -> None:
    settings.NEW_ITEMS_SECONDS = 0.2
    with tenant_scope(tenant.id):
        assert gateway.predict("next-item", REQUEST).degraded is None
        upsert_items([row("new")])
    answer = wait_for_item(tenant, "new")
    assert (answer.model_version, answer.degraded) == (live.id, None)


@pytest.mark.slow
def test_a_worker_finds_a_new_item(
    tenant: Tenant, live: ModelVersion, settings: Any, start_worker: Callable[..., Process]
) -> None:
    settings.GATEWAY_TRANSPORT = "queue"
    start_worker(queues="infer", environment={"NEW_ITEMS_SECONDS": "0.5"})
    wait_for_item(tenant, ITEMS[0])
    with tenant_scope(tenant.id):
        upsert_items([row("new")])
    answer = wait_for_item(tenant, "new")
    assert (answer.model_version, answer.degraded) == (live.id, None)


def test_a_failed_look_changes_no_answer(tenant: Tenant, live: ModelVersion, settings: Any) -> None:
    """The artifact loses its vocabulary, which only a look at the catalogue reads again."""
    settings.NEW_ITEMS_SECONDS = 0.1
    folder = resolve_artifact(tenant.id, live.artifact)
    engine.predictors().get(folder)
    (folder / "vocabulary.json").unlink()
    for _ in range(5):
        with tenant_scope(tenant.id):
            assert gateway.predict("next-item", REQUEST).degraded is None
        time.sleep(0.1)
    connection.close()
