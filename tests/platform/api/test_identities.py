"""The API of identities: what is tied, refused, undone and shown."""

from collections.abc import Callable
from typing import Any

import pytest

from behavior.models import IdentityLink
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

MISSING = "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11"


@pytest.fixture
def seen(api: ApiClient) -> Callable[..., None]:
    """seen(user_id="ada") lets the shop receive an event of that subject."""

    def send(**subject: str) -> None:
        event = {"message_id": str(subject), "type": "view", "item_id": "tent", "subject": subject}
        assert api.post("events", event).json()["counts"]["ok"] == 1

    return send


def links(tenant: Tenant) -> list[IdentityLink]:
    with tenant_scope(tenant.id):
        return list(IdentityLink.objects.order_by("id"))


def test_a_link_is_made_once_shown_undone_and_made_again(api: ApiClient, seen: Any, tenant: Tenant) -> None:
    seen(anonymous_id="phone")
    body = {"user_id": "ada", "anonymous_id": "phone"}
    made = api.post("identities/links", body)
    again = api.post("identities/links", body)
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json() == again.json()
    assert made.json()["source"].startswith("API key ")

    shown = api.get("identities?user_id=ada").json()
    assert [(key["kind"], key["id"]) for key in shown["keys"]] in (
        [("user_id", "ada"), ("anonymous_id", None)],
        [("anonymous_id", None), ("user_id", "ada")],
    )
    assert shown["links"] == [made.json()]
    assert "phone" not in str(shown)

    address = f"identities/links/{made.json()['id']}"
    undone = api.delete(address)
    assert undone.status_code == 200
    assert undone.json()["undone_at"] is not None
    assert api.delete(address).json() == undone.json()
    assert [key["id"] for key in api.get("identities?user_id=ada").json()["keys"]] == ["ada"]

    assert api.post("identities/links", body).status_code == 201
    assert len(api.get("identities?anonymous_id=phone").json()["keys"]) == 2
    assert [row.undone_at is None for row in links(tenant)] == [False, True]


def test_users_are_merged_and_taken_apart(api: ApiClient, seen: Any) -> None:
    for user in ("ada", "ada.old"):
        seen(user_id=user)
    body = {"from_user_id": "ada.old", "to_user_id": "ada"}
    made = api.post("identities/merges", body)
    assert (made.status_code, made.json()["kind"]) == (201, "merge")
    assert api.post("identities/merges", body).json() == made.json()
    assert len(api.get("identities?user_id=ada.old").json()["keys"]) == 2

    assert api.delete(f"identities/links/{made.json()['id']}").status_code == 404  # it is no login
    assert api.delete(f"identities/merges/{made.json()['id']}").status_code == 200
    assert len(api.get("identities?user_id=ada.old").json()["keys"]) == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("identities/merges", {"from_user_id": "ada", "to_user_id": "ada"}, 400, "to_user_id"),
        ("identities/merges", {"from_user_id": "typo", "to_user_id": "ada"}, 400, "from_user_id"),
        ("identities/merges", {"from_user_id": "ada", "to_user_id": "typo"}, 400, "to_user_id"),
        ("identities/merges", {"from_user_id": "ada"}, 400, "to_user_id"),
        ("identities/merges", {"from_user_id": "ada", "to_user_id": "null"}, 400, "to_user_id"),
        ("identities/links", {"user_id": "ada", "anonymous_id": "typo"}, 400, "anonymous_id"),
        ("identities/links", {"user_id": ["ada"], "anonymous_id": "phone"}, 400, "user_id"),
        ("identities/links", {"user_id": "ada", "anonymous_id": "phone", "user": 1}, 400, "user"),
        ("identities/merges", {"from_user_id": "cleo", "to_user_id": "ada"}, 422, None),
    ],
)
def test_what_cannot_be_done_is_named_and_changes_nothing(
    path: str, body: Any, status: int, field: str | None, api: ApiClient, seen: Any, tenant: Tenant
) -> None:
    for user in ("ada", "bob", "cleo"):
        seen(user_id=user)
    seen(anonymous_id="phone")
    for pair in ({"from_user_id": "ada", "to_user_id": "bob"}, {"from_user_id": "bob", "to_user_id": "cleo"}):
        assert api.post("identities/merges", pair).status_code == 201

    answer = api.post(path, body)

    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    if field:
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert len(links(tenant)) == 2


@pytest.mark.parametrize("query", ["", "?user_id=a&anonymous_id=b", "?user=a", "?user_id=null"])
def test_a_question_that_names_no_one_is_refused(query: str, api: ApiClient) -> None:
    assert api.get(f"identities{query}").status_code == 400


def test_unknown_ids_and_links_are_not_found(api: ApiClient) -> None:
    assert api.get("identities?user_id=nobody").status_code == 404
    assert api.delete(f"identities/links/{MISSING}").status_code == 404
    assert api.delete(f"identities/merges/{MISSING}").status_code == 404


def test_another_tenant_can_neither_see_nor_undo(
    api: ApiClient, other_api: ApiClient, seen: Any, tenant: Tenant
) -> None:
    seen(anonymous_id="phone")
    made = api.post("identities/links", {"user_id": "ada", "anonymous_id": "phone"}).json()

    assert other_api.get("identities?user_id=ada").status_code == 404
    assert other_api.delete(f"identities/links/{made['id']}").status_code == 404
    assert other_api.post("identities/links", {"user_id": "ada", "anonymous_id": "phone"}).status_code == 400
    assert [row.undone_at for row in links(tenant)] == [None]


def test_reading_and_writing_are_separate_rights(client_with_scopes: Callable[..., ApiClient], seen: Any) -> None:
    seen(anonymous_id="phone")
    body = {"user_id": "ada", "anonymous_id": "phone"}
    assert client_with_scopes("identities:read").post("identities/links", body).status_code == 403
    assert client_with_scopes("identities:write").get("identities?user_id=ada").status_code == 403
    assert client_with_scopes("events:write").delete(f"identities/links/{MISSING}").status_code == 403


def test_a_shared_device_says_so(api: ApiClient, seen: Any) -> None:
    seen(anonymous_id="tablet")
    for user in ("ada", "bob"):
        seen(user_id=user, anonymous_id="tablet")

    tablet = api.get("identities?anonymous_id=tablet").json()
    assert tablet["shared"] is True
    assert [key["id"] for key in tablet["keys"]] == ["tablet"]
    ada = api.get("identities?user_id=ada").json()
    bob = api.get("identities?user_id=bob").json()
    assert ada["shared"] is bob["shared"] is False
    until = next(key["until"] for key in ada["keys"] if key["kind"] == "anonymous_id")
    assert until == next(key["after"] for key in bob["keys"] if key["kind"] == "anonymous_id")
