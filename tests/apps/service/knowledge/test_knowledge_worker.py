"""A change is found by its meaning within seconds, by a real worker; without one it is found by its words."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from apps.service.knowledge import encoding
from apps.service.knowledge.models import Chunk
from apps.service.knowledge.selectors import search
from apps.service.knowledge.services import change_source, create_source
from apps.service.tasks import encode_knowledge_of_tenant
from serving import text_vectors
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.processes import Process

SECONDS = 10.0
START_SECONDS = 240.0
StartWorker = Callable[..., Process]


def until_found(tenant: Tenant, query: str, title: str, *, seconds: float = SECONDS) -> None:
    """Wait until the query finds the title by meaning."""
    started = time.monotonic()
    while True:
        with tenant_scope(tenant.id):
            if title in [passage.title for passage in search(query, stages=["dense"])]:
                return
        assert time.monotonic() - started < seconds, f"'{title}' is not found by '{query}'"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_change_is_found_by_its_meaning_within_ten_seconds(tenant: Tenant, start_worker: StartWorker) -> None:
    text_vectors.load_encoder()
    text_vectors._kept.clear()
    worker = start_worker(queues="encode")
    encode_knowledge_of_tenant.apply_async(headers={"tenant_id": tenant.id})
    with tenant_scope(tenant.id):
        first = create_source(
            kind="article", actor="somebody", publish=True, title="Money back", body="We refund the price."
        )
        create_source(kind="article", actor="somebody", publish=True, title="Opening hours", body="From nine to five.")
    # A worker that has just started loads the encoder first.
    until_found(tenant, "reimbursement of a purchase", "Money back", seconds=START_SECONDS)

    with tenant_scope(tenant.id):
        changes = {"title": "Feline food", "body": "What cats eat."}
        change_source(source_id=first.id, kind="article", actor="somebody", changes=changes)
    until_found(tenant, "kitten nutrition", "Feline food")

    # What the dead worker leaves is swept up by the next one.
    worker.kill()
    with tenant_scope(tenant.id):
        create_source(kind="macro", actor="somebody", publish=True, title="Parcel", body="Your shipment is on its way.")
        assert search("shipment")[0].title == "Parcel"
        assert encoding.some_wait()
    start_worker(queues="encode")
    encode_knowledge_of_tenant.apply_async(headers={"tenant_id": tenant.id})
    until_found(tenant, "delivery of a package", "Parcel", seconds=START_SECONDS)


def test_many_are_encoded_in_batches_and_each_once(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    with tenant_scope(tenant.id):
        for number in range(70):
            create_source(kind="article", actor="somebody", publish=True, title=f"T{number}", body=f"Text {number}.")
    sizes: list[int] = []
    encoder = text_vectors.usable_encoder()
    encode = type(encoder).encode

    def counted(self: Any, texts: Any) -> Any:
        sizes.append(len(texts))
        return encode(self, texts)

    monkeypatch.setattr(type(encoder), "encode", counted)
    for _ in range(2):
        encode_knowledge_of_tenant.apply(headers={"tenant_id": tenant.id})

    assert sizes == [32, 32, 6]
    with tenant_scope(tenant.id):
        assert Chunk.objects.filter(encoder=text_vectors.encoder_setting()).count() == 70


def test_without_an_encoder_or_a_broker_words_still_find(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from celery import current_app

    monkeypatch.setenv("TEXT_ENCODER", str(tmp_path / "nowhere"))
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(text_vectors, "_loader", text_vectors._Loader())
    text_vectors._kept.clear()
    with tenant_scope(tenant.id):
        create_source(kind="article", actor="somebody", publish=True, title="Returns", body="Refunds take five days.")

    encode_knowledge_of_tenant.apply(headers={"tenant_id": tenant.id})

    with tenant_scope(tenant.id):
        assert [passage.title for passage in search("refund")] == ["Returns"]
        assert encoding.some_wait()
