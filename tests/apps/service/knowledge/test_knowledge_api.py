"""Articles, macros and replies through the API: written, published, changed by one at a time, brought back, found."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.service.knowledge.models import Source
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

ARTICLE = {"title": "Sending things back", "body": "# Returns\n\nRefunds take five days.", "publish": True}


def make(api: ApiClient, collection: str = "articles", **fields: Any) -> dict[str, Any]:
    answer = api.post(f"knowledge/{collection}", ARTICLE | fields)
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


def found(api: ApiClient, query: str = "refund", **options: Any) -> list[str]:
    answer = api.post("knowledge/searches", {"query": query} | options)
    assert answer.status_code == 200, answer.content
    return [passage["title"] for passage in answer.json()["passages"]]


def test_an_article_is_found_when_the_answer_comes_and_never_once_it_is_retired(api: ApiClient) -> None:
    made = make(api)
    assert (made["kind"], made["status"], made["version"]) == ("article", "published", 1)
    assert found(api) == ["Sending things back"]

    answer = api.post("knowledge/searches", {"query": "how long for a refund"}).json()
    [passage] = answer["passages"]
    assert passage["source_id"] == made["id"]
    assert passage["quote"] == "Refunds take five days."
    names = ["full_text", "dense", "fuse", "rerank", "cross_encode"]
    assert list(passage["stages"]) == [stage["name"] for stage in answer["stages"]] == names
    assert all(stage["milliseconds"] >= 0 for stage in answer["stages"])

    assert api.patch(f"knowledge/articles/{made['id']}", {"title": "Refunds"}).json()["version"] == 2
    assert found(api) == ["Refunds"]
    assert api.post(f"knowledge/articles/{made['id']}/retire", None).json()["status"] == "retired"
    assert found(api) == []
    assert api.post(f"knowledge/articles/{made['id']}/publish", None).json()["version"] == 4
    assert found(api) == ["Refunds"]
    assert api.delete(f"knowledge/articles/{made['id']}").status_code == 204
    assert found(api) == []
    assert api.get(f"knowledge/articles/{made['id']}").json()["status"] == "retired"


def test_versions_say_who_did_what_and_one_is_restored(api: ApiClient) -> None:
    made = make(api)
    address = f"knowledge/articles/{made['id']}"
    api.patch(address, {"body": "Vouchers only."})

    versions = api.get(f"{address}/versions").json()["results"]

    assert [(each["version"], each["action"]) for each in versions] == [(2, "changed"), (1, "created")]
    assert versions[1]["contents"]["body"] == ARTICLE["body"]
    assert versions[0]["actor"].startswith("API key ")
    restored = api.post(f"{address}/restore", {"version": 1}).json()
    assert (restored["version"], restored["body"]) == (3, ARTICLE["body"])
    assert api.post(f"{address}/restore", {"version": 9}).status_code == 404
    # What changes nothing makes no version.
    assert api.patch(address, {"title": made["title"]}).json()["version"] == 3


def test_a_repeated_call_names_the_version_that_the_first_made(api: ApiClient) -> None:
    made, again = (api.post("knowledge/articles", ARTICLE, **{"Idempotency-Key": "one"}) for _ in range(2))
    assert again["Idempotency-Replayed"] == "true"
    assert again["ETag"] == made["ETag"] == '"1"'


def test_who_has_read_an_older_version_changes_nothing(api: ApiClient) -> None:
    made = make(api)
    address = f"knowledge/articles/{made['id']}"
    tag = api.get(address)["ETag"]
    assert tag == '"1"'
    assert api.patch(address, {"title": "First"}, **{"If-Match": tag}).status_code == 200

    refused = api.patch(address, {"title": "Second"}, **{"If-Match": tag})

    assert refused.status_code == 412
    assert "version 2 by now, not 1" in refused.json()["detail"]
    assert api.post(f"{address}/retire", None, **{"If-Match": tag}).status_code == 412
    assert api.delete(address, **{"If-Match": tag}).status_code == 412
    assert api.get(address).json()["title"] == "First"
    assert api.patch(address, {"title": "Third"}, **{"If-Match": "*"}).status_code == 200
    assert api.patch(address, {"title": "x"}, **{"If-Match": "one"}).status_code == 400


@pytest.mark.parametrize(
    ("fields", "field", "cure"),
    [
        ({"title": ""}, "title", "blank"),
        ({"language": "fr"}, "language", "is none of"),
        ({"audience": "segment"}, "segments", "name one segment"),
        ({"segments": ["gold"]}, "segments", "audience 'segment' alone"),
        ({"valid_from": "2030-01-02T00:00Z", "valid_until": "2030-01-01T00:00Z"}, "valid_until", "after valid_from"),
        ({"tags": [str(number) for number in range(21)]}, "tags", "20"),
        ({"boddy": "x"}, "boddy", "known are"),
        ({"body": "<script>alert(1)</script>"}, "body", "blank"),
        ({"title": "\u200b\u200b"}, "title", "blank"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_stored(
    fields: dict[str, Any], field: str, cure: str, api: ApiClient, tenant: Tenant
) -> None:
    answer = api.post("knowledge/articles", ARTICLE | fields)

    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["field"].split("[")[0] == field
    assert cure in error["message"]
    with tenant_scope(tenant.id):
        assert not Source.objects.exists()


@pytest.mark.parametrize(
    ("body", "cure"),
    [
        ("Hello {{customer.firstname}}", "did you mean 'customer.first_name'?"),
        ("Order {{order.id}", "belongs to no slot"),
        ("Order {{ }}", "is no slot; known are"),
        ("{{{{order.id}}}}", "belongs to no slot"),
    ],
)
def test_a_macro_s_slots_are_known_ones(body: str, cure: str, api: ApiClient) -> None:
    answer = api.post("knowledge/macros", ARTICLE | {"body": body})

    assert answer.status_code == 400
    assert any(cure in error["message"] for error in answer.json()["errors"])
    assert make(api, "macros", body="Hello {{ customer.first_name }}, about {{order.id}}.")["kind"] == "macro"
    # An article is no form: what it says of slots is text.
    assert make(api, body=body)["kind"] == "article"


def test_lists_are_narrowed_and_paged(api: ApiClient) -> None:
    ids = [make(api, title=f"Article {number}", tags=["even"] * (number % 2 == 0))["id"] for number in range(5)]
    make(api, "macros", external_id="m-1", publish=False)

    page = api.get("knowledge/articles?limit=3").json()
    assert [each["id"] for each in page["results"]] == ids[:1:-1]
    rest = api.get(f"knowledge/articles?limit=3&cursor={page['next_cursor']}").json()
    assert [each["id"] for each in rest["results"]] == ids[1::-1]
    assert len(api.get("knowledge/articles?tag=even").json()["results"]) == 3
    assert len(api.get("knowledge/macros?status=draft").json()["results"]) == 1
    assert len(api.get("knowledge/macros?external_id=m-1").json()["results"]) == 1
    assert api.get("knowledge/macros?status=published").json()["results"] == []
    assert api.get("knowledge/nothing").status_code == 404


def test_saving_names_what_may_say_the_same(api: ApiClient) -> None:
    first = make(api, title="How to return an item")

    second = make(api, title="How to return items", body="Ask us.")

    assert [(each["id"], each["status"]) for each in second["similar"]] == [(first["id"], "published")]
    assert make(api, title="Opening hours", body="Nine to five")["similar"] == []


def test_an_external_id_is_unique_by_kind(api: ApiClient) -> None:
    make(api, external_id="a-1")
    make(api, "macros", external_id="a-1")

    refused = api.post("knowledge/articles", ARTICLE | {"external_id": "a-1"})

    assert refused.status_code == 400
    assert "is the id of another article" in refused.json()["detail"]


def test_a_repeated_call_makes_one_article(api: ApiClient) -> None:
    for _ in range(2):
        assert api.post("knowledge/articles", ARTICLE, **{"Idempotency-Key": "k"}).status_code == 201

    assert len(api.get("knowledge/articles").json()["results"]) == 1


def test_keys_need_their_scope_and_tenants_see_their_own(
    api: ApiClient, other_api: ApiClient, client_with_scopes: Callable[..., ApiClient]
) -> None:
    made = make(api)
    reader, writer = client_with_scopes("knowledge:read"), client_with_scopes("knowledge:write")

    assert found(reader) == ["Sending things back"]
    assert reader.post("knowledge/articles", ARTICLE).status_code == 403
    assert reader.post("knowledge/imports", {"files": []}).status_code == 403
    assert writer.post("knowledge/searches", {"query": "refund"}).status_code == 403
    address = f"knowledge/articles/{made['id']}"
    assert found(other_api, audience="agents") == []
    assert other_api.get("knowledge/articles").json()["results"] == []
    for refused in (
        other_api.get(address),
        other_api.patch(address, {"title": "Mine"}),
        other_api.delete(address),
        other_api.post(f"{address}/retire", None),
        other_api.post(f"{address}/restore", {"version": 1}),
        other_api.get(f"{address}/versions"),
        # An address of another kind is no way either.
        api.patch(f"knowledge/macros/{made['id']}", {"title": "Mine"}),
    ):
        assert refused.status_code == 404
    assert api.get(address).json()["version"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "a" * 10_001}, "query"),
        ({"query": "a", "count": 0}, "count"),
        ({"query": "a", "stages": ["magic"]}, "stages"),
        ({"query": "a", "audience": "everyone"}, "audience"),
    ],
)
def test_a_search_that_cannot_be_read_says_why(body: dict[str, Any], field: str, api: ApiClient) -> None:
    answer = api.post("knowledge/searches", body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].startswith(field)
