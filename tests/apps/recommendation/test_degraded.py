"""Answers when the model cannot be asked: never an error, always marked."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from serving import gateway
from serving.models import ModelVersion
from tests.apps.recommendation.conftest import ids
from tests.processes import Process
from tests.waiting import until

Post = Callable[..., None]
Recommend = Callable[..., dict[str, Any]]


def test_without_a_worker_the_rules_answer(
    live_model: ModelVersion, post_events: Post, recommend: Recommend, settings: Any
) -> None:
    settings.GATEWAY_TRANSPORT = "queue"
    settings.GATEWAY_DEADLINE = 0.2
    post_events("item-03", "item-04", user_id="walker")

    answer = recommend("home", user_id="walker", count=3)

    assert ids(answer)[0] == "item-05"
    assert (answer["degraded"], answer["model_version"]) == ("rules", str(live_model.id))
    assert answer["items"][0]["reasons"][0]["text"] == "because you viewed Tent 4"
    gateway._workers.succeeded()


@pytest.mark.slow
def test_with_a_worker_the_queue_gives_the_same_list_as_this_process(
    live_model: ModelVersion,
    post_events: Post,
    recommend: Recommend,
    start_worker: Callable[..., Process],
    settings: Any,
) -> None:
    post_events("item-03", "item-04", user_id="walker")
    inline = recommend("home", user_id="walker", count=6)
    start_worker(queues="infer")
    settings.GATEWAY_TRANSPORT = "queue"

    def by_the_worker() -> dict[str, Any] | None:
        answer = recommend("home", user_id="walker", count=6)
        return None if answer["degraded"] else answer

    queued = until(by_the_worker)

    assert [(item["id"], item["score"]) for item in queued["items"]] == [
        (item["id"], pytest.approx(item["score"], rel=1e-4)) for item in inline["items"]
    ]


def test_a_lost_artifact_leaves_what_is_popular(
    live_model: ModelVersion, post_events: Post, recommend: Recommend
) -> None:
    shutil.rmtree(Path(django_settings.ARTIFACTS) / live_model.artifact)
    post_events("item-03", "item-04", "item-04", user_id="walker")

    answer = recommend("home", user_id="walker", count=2)

    assert ids(answer) == ["item-04", "item-03"]
    assert (answer["degraded"], answer["model_version"]) == ("popular", None)
