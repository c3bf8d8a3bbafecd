"""Items and subjects that no model was trained on, from the catalogue to the list."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from catalog.services import upsert_items
from ml.simulation import World, WorldConfig
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ids
from tests.apps.recommendation.test_loop import batches, wait_for_training
from tests.conftest import ApiClient
from tests.processes import Process

REFRESH_SECONDS = 0.5
PATIENCE_SECONDS = 60.0
LIST = 100
NEW = 10


@pytest.fixture(autouse=True)
def often(settings: Any) -> None:
    settings.NEW_ITEMS_SECONDS = REFRESH_SECONDS


@pytest.fixture
def shop(tenant: Tenant, api: ApiClient) -> World:
    """A shop with catalogue and history, whose catalogue is what the model may learn of its items."""
    # Without the robots, which walk through the catalogue in the order of the ids.
    world = World(replace(WorldConfig.grocery(), bots=0), seed=3)
    with tenant_scope(tenant.id):
        upsert_items(world.catalogue())
    for batch in batches(world.events(subjects=400, days=28, end=datetime.now(UTC))):
        api.post("events", {"events": batch})
    return world


def view(api: ApiClient, subject: dict[str, str], *items: str) -> None:
    events = [
        {"message_id": f"{subject['anonymous_id']}-{item}", "type": "view", "subject": subject, "item_id": item}
        for item in items
    ]
    assert api.post("events", {"events": events}).json()["counts"]["ok"] == len(items)


def ask(api: ApiClient, subject: dict[str, str], count: int) -> dict[str, Any]:
    answer: dict[str, Any] = api.post(
        "recommendations", {"scenario": "home", "subject": subject, "count": count}
    ).json()
    assert answer["degraded"] is None
    return answer


def new_ones(answer: dict[str, Any]) -> list[str]:
    return [item for item in ids(answer) if item.startswith(("fitting-", "strange-"))]


@pytest.mark.slow
def test_a_new_item_is_recommended_without_training(
    api: ApiClient, shop: World, start_worker: Callable[..., Process]
) -> None:
    worker = start_worker(queues="train")
    requested = api.post("training-runs", {"model": "next-item", "config": {"epochs": 12, "dimension": 32}})
    run = wait_for_training(api, requested.json()["id"], worker)
    assert run["status"] == "succeeded", run["error"]
    time.sleep(1.1)  # the process looks up the live version once a second

    shown = {row["id"]: row for row in shop.catalogue() if row["available"] and not row["hidden"]}
    subject = {"anonymous_id": "new-visitor"}
    view(api, subject, list(shown)[40])
    # A subject of one event gets a full list of what is there, and others follow upon it than upon another one.
    before = ask(api, subject, LIST)
    assert len(set(ids(before))) == LIST
    assert set(ids(before)) <= shown.keys()
    stranger = {"anonymous_id": "another-visitor"}
    view(api, stranger, list(shown)[-40])
    assert len(set(ids(ask(api, stranger, 10))) & set(ids(before)[:10])) < 5

    # Some new items are like what this subject is likely to want next, the others like what it is not.
    likely = [shown[item] for item in ids(before)[:NEW]]
    unlikely = [row for item, row in shown.items() if item not in ids(before)][::50][:NEW]
    new = [
        {**row, "id": f"{kind}-{number}"}
        for kind, rows in (("fitting", likely), ("strange", unlikely))
        for number, row in enumerate(rows)
    ]
    # At once, so that no look at the catalogue falls between them.
    assert api.post("items/batch", {"items": new}).status_code == 200
    ends = time.monotonic() + PATIENCE_SECONDS
    while not (found := new_ones(after := ask(api, subject, LIST))):
        assert time.monotonic() < ends
        time.sleep(REFRESH_SECONDS)
    assert after["model_version"] == run["version"]
    # Chance would bring one of each kind into a list of 100 out of 760.
    kinds = Counter(item.split("-")[0] for item in found)
    assert kinds["fitting"] >= 4
    assert kinds["strange"] <= 2
    first = next(item for item in after["items"] if item["id"] in found)
    assert first["reasons"][0]["code"] == "because_of"

    # What is hidden is never shown, whoever knows of it.
    assert api.patch(f"items/{found[0]}", {"hidden": True}).status_code == 200
    assert new_ones(ask(api, subject, LIST)) == found[1:]
