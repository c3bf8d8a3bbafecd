"""POST /api/v1/recommendations/batches: lists for many subjects, made by real workers, as one file."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.utils import timezone

from apps.recommendation.batches import chunks as batch_chunks
from apps.recommendation.batches import files as batch_files
from apps.recommendation.batches import services as batches
from apps.recommendation.batches.lists import make_lists
from apps.recommendation.models import Batch, BatchChunk
from apps.recommendation.services import Ask, preview
from apps.recommendation.tasks import finish_batch, make_chunk, plan_batch
from behavior.subjects import read_subject
from catalog.services import upsert_items
from decisions.models import Decision
from decisions.selectors import decision_with_outcomes
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.apps.recommendation.batch_work import ADDRESS, download, lists, look, run, run_all, start
from tests.apps.recommendation.conftest import catalogue
from tests.conftest import ApiClient
from tests.processes import Process
from tests.queries import CapturedQueries
from tests.waiting import until

Post = Callable[..., None]
StartWorker = Callable[..., Process]


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_everybody_gets_the_list_that_a_request_would_have_got(
    format: str, shop: Tenant, walkers: ModelVersion, api: ApiClient, settings: LazySettings
) -> None:
    settings.BATCH_CHUNK = 5
    batch = start(api, scenario="email", count=4, format=format)
    assert (batch["status"], batch["file"]) == ("queued", None)

    run_all(shop, batch)

    ended = look(api, batch)
    assert ended["status"] == "succeeded"
    assert ended["progress"]["done"] == ended["progress"]["total"] == 12
    assert ended["counts"] == {"lists": 12, "rows": 48, "empty": 0, "left_out": 0, "degraded": 0, "failed": 0}
    table = download(api, ended)
    with tenant_scope(shop.id):
        for user, items in lists(table).items():
            answer = preview(Ask("email", read_subject({"user_id": user}), count=4))
            assert items == [item["id"] for item in answer.items]
    assert set(table["kind"].to_pylist()) == {"user_id"}
    assert set(table["model_version"].to_pylist()) == {str(walkers.id)}
    assert set(table["reason"].to_pylist()) == {"because_of"}


def test_a_list_is_a_decision_that_later_events_can_name(
    shop: Tenant, walkers: ModelVersion, api: ApiClient, post_events: Post
) -> None:
    batch = start(api, count=2, params={"exclude_bought_days": 0})
    run_all(shop, batch)
    row = download(api, look(api, batch)).to_pylist()[0]

    api.post(
        "events",
        {
            "message_id": "opened",
            "type": "click",
            "item_id": row["item_id"],
            "decision_id": row["decision_id"],
            "subject": {"user_id": row["user_id"]},
        },
    )

    with tenant_scope(shop.id):
        found = decision_with_outcomes(UUID(row["decision_id"]))
        assert bytes(found.decision.subject_key or b"") == subject_key("user_id", row["user_id"])
    assert found.decision.request["batch"] == batch["id"]
    assert found.decision.request["params"] == {"exclude_bought_days": 0}
    assert found.items()[0]["outcomes"] == ["click"]
    assert found.decision.items[0]["reasons"][0]["text"].startswith("because you ")


def test_a_narrow_filter_still_gives_full_lists(shop: Tenant, walkers: ModelVersion, api: ApiClient) -> None:
    with tenant_scope(shop.id):
        upsert_items([catalogue()[1] | {"available": False}, catalogue()[3] | {"hidden": True}])
    batch = start(api, count=3, filter={"eq": {"field": "categories", "value": "boots"}})

    run_all(shop, batch)

    found = lists(download(api, look(api, batch)))
    allowed = {"item-05", "item-07", "item-09", "item-11"}
    # Who bought one of the four boots that are left has three to see, and is shown all of them.
    assert all(len(items) == 3 and set(items) <= allowed for items in found.values())
    assert len(found) == 12


def test_who_did_not_agree_is_left_out_also_after_the_batch_was_cut(
    shop: Tenant, live_model: ModelVersion, api: ApiClient, post_events: Post
) -> None:
    post_events("item-01", "item-02", user_id="yes")
    post_events("item-01", user_id="late")
    post_events("item-04", user_id="no", consent={"personalisation": False})
    post_events("item-04", user_id="no-more")
    post_events("item-05", user_id="no-more", consent={"personalisation": False})
    post_events("item-07", anonymous_id="visitor")
    batch = start(api, count=1)
    run(plan_batch, shop, batch)
    assert look(api, batch)["progress"]["total"] == 3

    post_events("item-02", user_id="late", consent={"personalisation": False})
    run(make_chunk, shop, batch)
    run(finish_batch, shop, batch)

    ended = look(api, batch)
    table = download(api, ended)
    assert ended["counts"]["left_out"] == 1
    assert dict(zip(table["user_id"].to_pylist(), table["kind"].to_pylist(), strict=True)) == {
        "yes": "user_id",
        "visitor": "anonymous_id",
    }


def test_chosen_subjects_alone(shop: Tenant, walkers: ModelVersion, api: ApiClient) -> None:
    batch = start(api, count=2, subjects=[{"user_id": "u03"}, {"user_id": "u05"}, {"user_id": "never-seen"}])

    run_all(shop, batch)

    ended = look(api, batch)
    assert set(lists(download(api, ended))) == {"u03", "u05"}
    assert (ended["progress"]["total"], ended["counts"]["left_out"]) == (2, 1)


def test_an_empty_shop_gives_an_empty_file(tenant: Tenant, api: ApiClient) -> None:
    batch = start(api, format="csv")
    run_all(tenant, batch)
    assert look(api, batch)["status"] == "succeeded"
    answer = api.get(f"{ADDRESS}/{batch['id']}/file")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert b"".join(answer.streaming_content).decode().strip().split(",")[0] == '"user_id"'


def test_without_a_model_the_popular_stand_in_and_the_batch_says_so(
    shop: Tenant, post_events: Post, api: ApiClient
) -> None:
    post_events("item-06", "item-06", "item-02", user_id="u1")
    batch = start(api, count=1)
    run_all(shop, batch)
    ended = look(api, batch)
    assert (ended["counts"]["lists"], ended["counts"]["degraded"]) == (1, 1)
    assert download(api, ended)["reason"].to_pylist() == ["popular"]


# Idempotence, loss, cancelling ---------------------------------------------------------------------------------------


def test_messages_that_come_twice_change_nothing(shop: Tenant, walkers: ModelVersion, api: ApiClient) -> None:
    batch = start(api, count=2)
    for task in (plan_batch, plan_batch, make_chunk, make_chunk, finish_batch, finish_batch):
        run(task, shop, batch)
    assert look(api, batch)["counts"]["rows"] == 24
    with tenant_scope(shop.id):
        assert Decision.objects.filter(request__batch=batch["id"]).count() == 12
        assert not BatchChunk.objects.exists()


def test_the_chunk_of_a_lost_worker_is_taken_over_and_the_late_one_records_nothing(
    shop: Tenant, walkers: ModelVersion, api: ApiClient
) -> None:
    batch = start(api, count=2)
    run(plan_batch, shop, batch)
    with tenant_scope(shop.id):
        late = batch_chunks.claim(UUID(batch["id"]))
        assert late is not None
        BatchChunk.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        assert batch_chunks.tend() == [UUID(batch["id"])]
    run(make_chunk, shop, batch)

    with tenant_scope(shop.id):
        made = make_lists(Batch.objects.get(), [bytes(key) for key in late.subject_keys])
        with pytest.raises(batch_chunks.ChunkLost):
            batch_chunks._record(Batch.objects.get(), late, made)
    run(finish_batch, shop, batch)

    assert look(api, batch)["counts"]["lists"] == 12
    with tenant_scope(shop.id):
        assert Decision.objects.filter(request__batch=batch["id"]).count() == 12


def test_a_chunk_that_fails_again_and_again_is_given_up_and_the_others_are_exported(
    shop: Tenant, walkers: ModelVersion, api: ApiClient, settings: LazySettings
) -> None:
    settings.BATCH_CHUNK = 6
    batch = start(api, count=2)
    run(plan_batch, shop, batch)
    run(make_chunk, shop, batch)
    with tenant_scope(shop.id):
        # An expired lease says that the worker died; after three of them the chunk is no longer given to anyone.
        for _ in range(batch_chunks.MOST_ATTEMPTS):
            batch_chunks.claim(UUID(batch["id"]))
            BatchChunk.objects.filter(status="running").update(lease_expires_at=timezone.now() - timedelta(seconds=1))
            batch_chunks.tend()
    run(finish_batch, shop, batch)

    ended = look(api, batch)
    assert (ended["status"], ended["counts"]["failed"], ended["counts"]["lists"]) == ("failed", 6, 6)
    assert "ended without a word 3 times" in ended["errors"][0]
    assert len(lists(download(api, ended))) == 6


def test_an_error_of_a_chunk_is_told_while_others_try(shop: Tenant, walkers: ModelVersion, api: ApiClient) -> None:
    batch = start(api, scenario="email", count=2)
    run(plan_batch, shop, batch)
    with tenant_scope(shop.id):
        Batch.objects.update(params={"temperature": "hot"})

    run(make_chunk, shop, batch)

    found = look(api, batch)
    assert found["status"] == "running"
    assert "temperature" in found["errors"][0]


def test_a_cancelled_batch_makes_nothing_more_and_another_may_start(
    shop: Tenant, walkers: ModelVersion, api: ApiClient
) -> None:
    batch = start(api, count=2)
    assert api.post(ADDRESS, {"count": 2}).status_code == 409
    run(plan_batch, shop, batch)
    with tenant_scope(shop.id):
        held = batch_chunks.claim(UUID(batch["id"]))

    assert api.delete(f"{ADDRESS}/{batch['id']}").json()["status"] == "cancelled"
    assert api.delete(f"{ADDRESS}/{batch['id']}").json()["status"] == "cancelled"

    assert held is not None
    with pytest.raises(batch_chunks.ChunkLost):
        in_scope(shop, held)
    run(finish_batch, shop, batch)
    refused = api.get(f"{ADDRESS}/{batch['id']}/file")
    assert (refused.status_code, refused["Content-Type"]) == (409, "application/problem+json")
    with tenant_scope(shop.id):
        assert not Decision.objects.filter(request__batch=batch["id"]).exists()
        assert not batch_files.part_of(held).exists() or batch_files.remove_part(held) is None
    start(api, count=2)


def in_scope(tenant: Tenant, chunk: BatchChunk) -> None:
    """Record the lists of a chunk as the worker that holds it does."""
    with tenant_scope(tenant.id):
        batch = Batch.objects.get(id=chunk.batch_id)
        batch_chunks._record(batch, chunk, make_lists(batch, [bytes(key) for key in chunk.subject_keys]))


def test_a_file_goes_when_its_days_are_over(
    shop: Tenant, walkers: ModelVersion, api: ApiClient, settings: LazySettings
) -> None:
    batch = start(api, count=1)
    run_all(shop, batch)
    with tenant_scope(shop.id):
        folder = batch_files.folder_of(UUID(batch["id"]))
        assert [path.name for path in folder.iterdir()] == ["recommendations.parquet"]
        assert batches.expire() == 0
        Batch.objects.update(finished_at=timezone.now() - timedelta(days=settings.BATCH_KEPT_DAYS, minutes=1))
        assert batches.expire() == 1
    assert not folder.exists()
    ended = look(api, batch)
    assert (ended["status"], ended["file"]) == ("succeeded", None)
    assert "was deleted" in api.get(f"{ADDRESS}/{batch['id']}/file").json()["detail"]


# Cost, and real workers ----------------------------------------------------------------------------------------------


def test_the_queries_of_a_chunk_do_not_grow_with_its_subjects(
    shop: Tenant, walkers: ModelVersion, api: ApiClient
) -> None:
    batch = start(api, count=3)
    with tenant_scope(shop.id):
        row = Batch.objects.get(id=batch["id"])
        counts = []
        for subjects in (2, 12):
            keys = [subject_key("user_id", f"u{number:02d}") for number in range(subjects)]
            make_lists(row, keys)
            with CapturedQueries() as queries:
                make_lists(row, keys)
            counts.append(len(queries))
    # Histories, bought items, vault; permitted items, titles.
    assert counts[0] == counts[1] <= 6


@pytest.mark.slow
def test_two_workers_share_a_batch_and_one_is_killed(
    shop: Tenant, walkers: ModelVersion, api: ApiClient, start_worker: StartWorker, settings: LazySettings
) -> None:
    environment = {"BATCH_CHUNK": "1", "BATCH_LEASE": "2", "BATCH_WORKERS": "2"}
    start_worker(queues="slow", environment=environment)
    doomed = start_worker(queues="slow", environment=environment)
    batch = start(api, count=2)
    settings.BATCH_LEASE = 2

    until(lambda: look(api, batch)["progress"]["done"] >= 2)
    doomed.kill()

    def finished() -> dict[str, Any] | None:
        with tenant_scope(shop.id):
            batch_chunks.tend()
        found = look(api, batch)
        return None if found["status"] in ("queued", "running") else found

    found = until(finished)
    assert found["counts"] == {"lists": 12, "rows": 24, "empty": 0, "left_out": 0, "degraded": 0, "failed": 0}
    assert len(lists(download(api, found))) == 12
