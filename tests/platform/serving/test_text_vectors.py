"""Texts become vectors: the catalogue's in the background, a query's through a worker, and nothing fails for lack of
one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.models import VECTOR_DIMENSION, ItemText, ItemVector
from catalog.services import patch_item, upsert_items
from catalog.vector_index import store_vectors, waiting_texts
from serving import inbox, text_vectors
from serving.inbox import TextQuestion
from serving.tasks import encode_item_texts_of_tenant
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.processes import Process
from tests.waiting import until

StartWorker = Callable[..., Process]


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    text_vectors._kept.clear()
    text_vectors._workers.succeeded()


@pytest.fixture
def through_the_queue(settings: Any) -> None:
    settings.GATEWAY_TRANSPORT = "queue"


@pytest.fixture
def read_catalogue(tenant: Tenant) -> Tenant:
    """A tenant with one item, whose text has a vector."""
    with tenant_scope(tenant.id):
        upsert_items([{"id": "a", "title": "Tent"}])
        store_vectors(waiting_texts(1), [np.eye(VECTOR_DIMENSION)[0]], encoder=text_vectors.encoder_setting())
    return tenant


def vector_of(tenant: Tenant, text: str) -> Any:
    with tenant_scope(tenant.id):
        return text_vectors.query_vector(text)


@pytest.mark.slow
def test_the_task_encodes_what_waits_and_what_changes(tenant: Tenant, start_worker: StartWorker) -> None:
    start_worker(queues="encode")
    with tenant_scope(tenant.id):
        upsert_items([{"id": "a", "title": "Tent"}, {"id": "b", "title": "Camping shelter"}, {"id": "c"}])

    def encode() -> list[Any]:
        encode_item_texts_of_tenant.apply_async(headers={"tenant_id": tenant.id})
        until(lambda: not waiting())
        with tenant_scope(tenant.id):
            return list(ItemVector.objects.order_by("id").values_list("embedding", flat=True))

    def waiting() -> bool:
        with tenant_scope(tenant.id):
            return ItemText.objects.filter(encoder="").exists()

    tent, shelter = encode()  # the third has no text, and so no vector
    read = [np.array(vector[1:-1].split(","), dtype=float) for vector in (tent, shelter)]
    assert np.allclose([np.linalg.norm(vector) for vector in read], 1.0, atol=1e-4)
    assert float(read[0] @ read[1]) > 0.4

    with tenant_scope(tenant.id):
        patch_item(item_id="a", changes={"title": "Kettle"})
    kettle, same = encode()
    assert kettle != tent
    assert same == shelter


@pytest.mark.slow
@pytest.mark.usefixtures("through_the_queue")
def test_a_worker_encodes_queries_and_a_process_keeps_them(
    read_catalogue: Tenant, other_tenant: Tenant, start_worker: StartWorker
) -> None:
    worker = start_worker(queues="infer")

    vector = until(lambda: vector_of(read_catalogue, "a tent"))
    assert vector.shape == (VECTOR_DIMENSION,)
    assert np.isclose(np.linalg.norm(vector), 1.0, atol=1e-4)
    # Where no item has a vector, nobody is asked.
    assert vector_of(other_tenant, "a tent") is None

    worker.kill()
    assert np.array_equal(vector_of(read_catalogue, "a tent"), vector)
    started = time.monotonic()
    assert vector_of(read_catalogue, "another text") is None
    assert time.monotonic() - started < 2.0
    assert inbox.valkey().llen(inbox.QUESTIONS) == 0


def test_questions_of_both_kinds_survive_their_way() -> None:
    text = TextQuestion(["a tent", "a lamp"], "reply")
    prediction = inbox.Question(1, "artifact", {"items": []}, "reply")  # type: ignore[typeddict-item]

    assert inbox.decode(text.encode()) == text
    assert inbox.decode(prediction.encode()) == prediction


def test_without_an_encoder_there_is_no_vector_and_no_error(
    read_catalogue: Tenant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEXT_ENCODER", str(tmp_path / "nowhere"))
    monkeypatch.setattr(text_vectors, "_loader", text_vectors._Loader())

    assert vector_of(read_catalogue, "a tent") is None
    until(lambda: not text_vectors._loader.loading)
    assert vector_of(read_catalogue, "a tent") is None
    with pytest.raises(ValueError, match="TEXT_ENCODER"):
        text_vectors.usable_encoder()
