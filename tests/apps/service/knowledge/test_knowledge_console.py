"""The console's pages of knowledge: what each role can do, and what the pages show."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.service.knowledge.models import Source
from apps.service.knowledge.selectors import search
from apps.service.knowledge.services import change_source, create_source
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator

SOURCES, IMPORTS, SEARCH = (f"/console/service/{name}/" for name in ("source", "knowledgeimport", "chunk"))
FORM = {
    "kind": "article",
    "title": "Returns",
    "body": "# How long\n\nRefunds take **five** days.\n\n![x](https://example.com/x.png)",
    "language": "en",
    "audience": "public",
    "segments": "",
    "tags": "money, returns",
    "seen_version": "0",
}
Enter = Callable[[Role], Client]


@pytest.fixture
def enter(tenant: Tenant, settings: Any) -> Enter:
    def enter(role: Role) -> Client:
        settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
        settings.ROOT_URLCONF = "config.urls_console"
        with connected_as("console"):
            return logged_in(make_operator(tenant, role))

    return enter


def get(client: Client, address: str) -> str:
    with connected_as("console"):
        answer = client.get(address)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def post(client: Client, address: str, **data: Any) -> Any:
    with connected_as("console"):
        return client.post(address, data, follow=True)


def only(tenant: Tenant) -> Source:
    with tenant_scope(tenant.id):
        return Source.objects.get()


def found(tenant: Tenant) -> list[str]:
    with tenant_scope(tenant.id):
        return [passage.title for passage in search("refund")]


def test_an_article_is_written_seen_published_retired_and_restored(tenant: Tenant, enter: Enter) -> None:
    client = enter(Role.OPERATOR)
    assert "Nothing is known yet" in get(client, SOURCES)
    assert "{{order.id}}" in get(client, f"{SOURCES}add/")

    hidden = FORM | {"body": FORM["body"] + "<script>alert(1)</script><b onclick=x>bold</b>"}
    page = post(client, f"{SOURCES}add/", **hidden).content.decode()

    assert "It is a draft." in page
    assert "1 scripts and embedded parts" in page
    assert "<strong>five</strong>" in page
    assert "How long" in page
    assert "alert(1)" not in page
    assert '<img src="https://example.com' not in page
    source = only(tenant)
    assert source.tags == ["money", "returns"]
    address = f"{SOURCES}{source.pk}"
    assert found(tenant) == []

    post(client, f"{address}/publish/", _form_submitted="on")
    assert found(tenant) == ["Returns"]
    changed = FORM | {"title": "Refunds", "seen_version": "2"}
    assert "It is found by its new text" in post(client, f"{address}/change/", **changed).content.decode()
    assert found(tenant) == ["Refunds"]
    post(client, f"{address}/retire/", _form_submitted="on")
    assert found(tenant) == []
    page = post(client, f"{address}/restore/1/").content.decode()
    assert "It has the contents of version 1 again" in page
    assert (only(tenant).title, only(tenant).status, only(tenant).version) == ("Returns", "draft", 5)


def test_a_mistake_is_named_and_loses_nothing(tenant: Tenant, enter: Enter) -> None:
    client = enter(Role.OPERATOR)

    page = post(client, f"{SOURCES}add/", **FORM | {"kind": "macro", "body": "Dear {{customer.nam}}"}).content.decode()

    assert "did you mean &#x27;customer.name&#x27;?" in page
    assert "Dear {{customer.nam}}" in page


def test_who_comes_second_is_told(tenant: Tenant, enter: Enter) -> None:
    client = enter(Role.OPERATOR)
    with tenant_scope(tenant.id):
        source = create_source(kind="article", actor="somebody", title="Returns", body="Refund.")
        change_source(source_id=source.id, kind="article", actor="else", changes={"body": "Refunds."})

    page = post(client, f"{SOURCES}{source.pk}/change/", **FORM | {"seen_version": "1"}).content.decode()

    assert "Somebody else has changed it meanwhile" in page
    assert only(tenant).body == "Refunds."


def test_a_file_is_brought_in_and_each_row_is_answered_for(tenant: Tenant, enter: Enter) -> None:
    client = enter(Role.OPERATOR)
    assert "No files were brought in yet" in get(client, IMPORTS)
    rows = b"id,title,body\n1,Returns,Refunds take five days.\n2,,Nothing\n"
    sent = {"kind": "article", "language": "en", "publish": "on"}

    page = post(client, f"{IMPORTS}add/", file=SimpleUploadedFile("all.csv", rows), **sent).content.decode()

    assert "The file was read: 1 ok, 0 duplicate, 1 rejected." in page
    assert "title:" in page
    assert found(tenant) == ["Returns"]
    assert "all.csv" in get(client, IMPORTS)
    refused = post(client, f"{IMPORTS}add/", file=SimpleUploadedFile("a.csv", b"\xff\xfe"), **sent)
    assert "It is not UTF-8" in refused.content.decode()


def test_a_search_is_tried_out_stage_by_stage(tenant: Tenant, enter: Enter) -> None:
    client = enter(Role.VIEWER)
    assert "Try a search" in get(client, SEARCH)
    with tenant_scope(tenant.id):
        create_source(kind="article", actor="somebody", publish=True, title="Returns", body="Refunds take five days.")
        create_source(
            kind="article", actor="somebody", publish=True, title="Refusals", body="Refund no one.", audience="agents"
        )

    page = get(client, f"{SEARCH}?q=refund")

    assert "Refunds take five days." in page
    assert "Refusals" not in page
    assert re.search("no: (no candidate has a vector yet|the text encoder gave no vector in time)", page)
    assert "Refusals" in get(client, f"{SEARCH}?q=refund&audience=agents")
    assert "Nothing that this audience may see" in get(client, f"{SEARCH}?q=qwerty")


def test_a_viewer_sees_and_changes_nothing(tenant: Tenant, enter: Enter) -> None:
    with tenant_scope(tenant.id):
        source = create_source(kind="article", actor="somebody", title="Returns", body="Refund.")
    client = enter(Role.VIEWER)

    assert "As it is cut" in get(client, f"{SOURCES}{source.pk}/change/")
    for address, data in (
        (f"{SOURCES}add/", FORM),
        (f"{SOURCES}{source.pk}/change/", FORM),
        (f"{SOURCES}{source.pk}/publish/", {"_form_submitted": "on"}),
        (f"{SOURCES}{source.pk}/restore/1/", {}),
        (f"{IMPORTS}add/", {}),
    ):
        assert post(client, address, **data).status_code == 403, address
    assert (only(tenant).version, only(tenant).status) == (1, "draft")
