"""Items and subjects that no model was trained on, from the catalogue to the list."""

import time
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
from tests.waiting import until

REFRESH_SECONDS = 0.5
LIST = 100
VISITORS = 10
NEW = 5


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
    return [item for item in ids(answer) if item.startswith("new-")]


@pytest.mark.slow
def test_new_items_are_recommended_without_training_to_those_whom_they_suit(
    api: ApiClient, shop: World, start_worker: Callable[..., Process]
) -> None:
    worker = start_worker(queues="train")
    requested = api.post("training-runs", {"model": "next-item", "config": {"epochs": 12, "dimension": 32}})
    run = wait_for_training(api, requested.json()["id"], worker)
    assert run["status"] == "succeeded", run["error"]
    time.sleep(1.1)  # the process looks up the live version once a second

    # Subjects of one event get full lists of what is there, and each its own.
    shown = {row["id"]: row for row in shop.catalogue() if row["available"] and not row["hidden"]}
    visitors = [{"anonymous_id": f"visitor-{number}"} for number in range(VISITORS)]
    for number, visitor in enumerate(visitors):
        view(api, visitor, list(shown)[7 + number * len(shown) // VISITORS])
    before = [ids(ask(api, visitor, LIST)) for visitor in visitors]
    assert all(len(set(items)) == LIST and set(items) <= shown.keys() for items in before)
    assert len(set(before[0][:10]) & set(before[-1][:10])) < 5

    # For each of them some new items like those that it is likely to want; at once, so that no look at the catalogue
    # falls between them.
    new = [
        {**shown[item], "id": f"new-{number}-{place}"}
        for number, items in enumerate(before)
        for place, item in enumerate(items[:NEW])
    ]
    assert api.post("items/batch", {"items": new}).status_code == 200
    until(lambda: any(new_ones(ask(api, visitor, LIST)) for visitor in visitors), every=REFRESH_SECONDS)
    after = [ask(api, visitor, LIST) for visitor in visitors]
    assert {answer["model_version"] for answer in after} == {run["version"]}
    found = [new_ones(answer) for answer in after]
    own = sum(item.startswith(f"new-{number}-") for number, items in enumerate(found) for item in items)
    others = sum(map(len, found)) - own
    # As a share of those that there are for each; chance would show as many of one's own as of the others'.
    assert own / (VISITORS * NEW) > 3 * others / (VISITORS * (VISITORS - 1) * NEW)
    assert own >= 2 * VISITORS

    number = next(number for number, items in enumerate(found) if items)
    first = next(item for item in after[number]["items"] if item["id"] in found[number])
    assert first["reasons"][0]["code"] == "because_of"

    # What is hidden is never shown, whoever knows of it.
    assert api.patch(f"items/{found[number][0]}", {"hidden": True}).status_code == 200
    shown_now = new_ones(ask(api, visitors[number], LIST))
    # Its place is free for another one, which may be new too.
    assert found[number][0] not in shown_now
    assert shown_now[: len(found[number]) - 1] == found[number][1:]
