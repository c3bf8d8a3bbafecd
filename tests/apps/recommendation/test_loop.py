"""The loop: events in, a model trained on a worker, a list out, what happened back, and another list."""

import itertools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ml.simulation import World, WorldConfig
from tests.apps.recommendation.conftest import ids
from tests.conftest import ApiClient
from tests.processes import Process
from tests.waiting import until

EFFECT_SECONDS = 2.0


def batches(events: Iterator[dict[str, Any]], size: int = 1000) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(events, size)):
        yield batch


def wait_for_training(api: ApiClient, run_id: str, worker: Process) -> dict[str, Any]:
    def finished() -> dict[str, Any] | None:
        run: dict[str, Any] = api.get(f"training-runs/{run_id}").json()
        return None if run["status"] in ("queued", "running") else run

    return until(finished, lambda: f"not trained; the worker wrote:\n{worker.output[-4000:]}")


@pytest.mark.slow
def test_the_loop_closes(api: ApiClient, start_worker: Callable[..., Process]) -> None:
    shop = World(WorldConfig.grocery(), seed=3)
    now = datetime.now(UTC)
    sent = stored = 0
    for batch in batches(shop.events(subjects=400, days=28, end=now)):
        answer = api.post("events", {"events": batch}).json()
        sent += len(batch)
        stored += answer["counts"]["ok"]
        assert sum(answer["counts"].values()) == len(batch)
    assert stored > 0.97 * sent

    worker = start_worker(queues="train")
    requested = api.post("training-runs", {"model": "next-item", "config": {"epochs": 4, "dimension": 32}})
    run = wait_for_training(api, requested.json()["id"], worker)
    assert run["status"] == "succeeded", run["error"]
    assert run["report"]["score"] > max(run["report"]["baselines"].values())
    # The process looks up the live version once a second.
    time.sleep(1.1)

    subject = {"anonymous_id": "new-visitor", "session_id": "s1"}
    views = [
        {"message_id": f"view-{number}", "type": "view", "subject": subject, "item_id": item}
        for number, item in enumerate(shop.item_ids[40:43])
    ]
    api.post("events", {"events": views})
    request = {"scenario": "home", "subject": subject, "count": 8}
    before = api.post("recommendations", request).json()
    assert before["degraded"] is None
    assert before["model_version"] == run["version"]
    assert before["items"][0]["reasons"][0]["code"] == "because_of"

    clicked = before["items"][2]["id"]
    outcome = {"type": "click", "subject": subject, "item_id": clicked, "decision_id": before["decision_id"]}
    posted = time.monotonic()
    assert api.post("events", outcome | {"message_id": "click-1"}).json()["counts"]["ok"] == 1
    after = api.post("recommendations", request).json()
    assert time.monotonic() - posted < EFFECT_SECONDS
    assert ids(after) != ids(before)

    decision = api.get(f"decisions/{before['decision_id']}").json()
    assert [(event["type"], event["item_id"]) for event in decision["outcomes"]] == [("click", clicked)]
    assert [item["outcomes"] for item in decision["items"]][2] == ["click"]
