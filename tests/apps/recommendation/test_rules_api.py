"""The rules API: drafts, previews, publishing, history, warnings, and who may do it."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import ProgrammingError, transaction

from apps.recommendation.models import Rule, RuleChange
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ids
from tests.conftest import ApiClient

PIN = {
    "name": "Boot seven first",
    "kind": "pin",
    "target": {"eq": {"field": "id", "value": "item-07"}},
    "values": {"position": 1},
}
BOOTS = {"eq": {"field": "categories", "value": "boots"}}


def make(api: ApiClient, *, publish: bool = False, **body: Any) -> dict[str, Any]:
    answer = api.post("rules", PIN | body)
    assert answer.status_code == 201, answer.content
    if publish:
        answer = api.post(f"rules/{answer.json()['id']}/publish", {})
        assert answer.status_code == 200, answer.content
    made: dict[str, Any] = answer.json()
    return made


def test_a_rule_is_made_as_a_draft_and_acts_once_it_is_published(
    shop: Tenant, api: ApiClient, recommend: Callable[..., dict[str, Any]]
) -> None:
    rule = make(api)
    assert (rule["key"], rule["status"], rule["version"]) == ("boot-seven-first", "draft", 1)
    assert rule["created_by"].startswith("API key ")
    assert api.get(f"rules/{rule['id']}").json() == rule
    assert all(not item["rules"] for item in recommend("popular")["items"])

    published = api.post(f"rules/{rule['id']}/publish", {}).json()
    assert (published["status"], published["version"]) == ("live", 2)
    assert recommend("popular")["items"][0] | {"score": 0, "reasons": [], "parts": {}} == {
        "id": "item-07",
        "rank": 1,
        "score": 0,
        "propensity": 1.0,
        "reasons": [],
        "rules": ["boot-seven-first"],
        "parts": {},
    }
    assert api.post(f"rules/{rule['id']}/publish", {}).json()["version"] == 2

    assert api.delete(f"rules/{rule['id']}").status_code == 204
    assert all(not item["rules"] for item in recommend("popular")["items"])


def test_rules_are_listed_by_state_and_removed_ones_only_when_asked_for(shop: Tenant, api: ApiClient) -> None:
    draft = make(api, name="Draft")
    live = make(api, name="Live", publish=True)
    later = make(api, name="Later", starts_at="2100-01-01T00:00:00Z", publish=True)
    removed = make(api, name="Removed")
    api.delete(f"rules/{removed['id']}")

    def listed(query: str = "") -> set[str]:
        return {each["key"] for each in api.get(f"rules{query}").json()["results"]}

    assert listed() == {draft["key"], live["key"], later["key"]}
    assert listed("?status=draft") == {draft["key"]}
    assert listed("?status=live") == {live["key"]}
    assert listed("?status=scheduled") == {later["key"]}
    assert listed("?status=ended") == set()
    assert listed("?status=removed") == {removed["key"]}
    assert api.get("rules?status=on").status_code == 400


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"kind": "pinned"}, "kind", "pinned"),
        ({"position": 1}, "position", "is not a field; known are"),
        ({"values": {}}, "values", "needs 'position'"),
        ({"values": {"position": 0}}, "values", "'position' must be a whole number from 1 to 100"),
        ({"values": {"position": True}}, "values", "'position' must be a whole number"),
        ({"values": {"position": 1, "factor": 2}}, "values", "'factor' is no value of pin; it has position"),
        ({"kind": "boost", "values": {"factor": 0.5}}, "values", "'factor' must be a number above 1"),
        ({"kind": "bury", "values": {"factor": 2}}, "values", "'factor' must be a number from 0.001, below 1"),
        ({"kind": "cap", "values": {"attribute": "color", "limit": 1}}, "values", "must be one of category, brand"),
        ({"kind": "cap", "values": {"attribute": "brand", "limit": 3, "window": 3}}, "values", "larger than 'limit'"),
        ({"kind": "promote", "values": {"share": 101}}, "values", "from 1 to 100"),
        ({"target": None}, "target", "is needed"),
        ({"target": {"eq": {"field": "colour", "value": 1}}}, "target.eq.field", "'colour' is not a field"),
        ({"target": {"saved": "gone"}}, "target.saved", "there is no saved filter 'gone'"),
        ({"condition": {"device": "mobile"}}, "condition", "'device' is not known; known are context, query"),
        ({"condition": {"context": {}}}, "condition", "'context' must be an object such as"),
        ({"condition": {"weekdays": [0]}}, "condition", "'weekdays' must be a list of days"),
        ({"condition": {"hours": {"from": 9, "until": 9}}}, "condition", "'hours' must go from an hour"),
        ({"condition": {"query": ["", "hat"]}}, "condition", "'query' must be a list"),
        ({"starts_at": "2026-02-01T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "ends_at", "later than starts_at"),
        ({"priority": 5000}, "priority", "1000"),
        ({"scenarios": ["Home page"]}, "scenarios[0]", "slug"),
        ({"key": "not a key"}, "key", "slug"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_by_field(
    changes: dict[str, Any], field: str, message: str, api: ApiClient, tenant: Tenant
) -> None:
    refused = api.post("rules", PIN | changes)
    assert refused.status_code == 400, refused.content
    [error, *_] = refused.json()["errors"]
    assert error["field"] == field
    assert message in error["message"]
    with tenant_scope(tenant.id):
        assert not Rule.objects.exists()


def test_a_key_is_unique_for_ever_and_made_from_the_name(api: ApiClient, tenant: Tenant) -> None:
    first = make(api)
    assert make(api)["key"] == "boot-seven-first-2"
    api.delete(f"rules/{first['id']}")
    assert make(api)["key"] == "boot-seven-first-3"
    assert make(api, name="夏季促销")["key"] == "rule"
    refused = api.post("rules", PIN | {"key": first["key"]})
    assert refused.status_code == 400
    assert "is or was the key of another rule" in refused.json()["detail"]


def test_every_change_is_kept_with_who_and_what_and_can_be_undone(api: ApiClient, tenant: Tenant) -> None:
    rule = make(api)
    api.patch(f"rules/{rule['id']}", {"values": {"position": 3}, "notes": "further down"})
    api.patch(f"rules/{rule['id']}", {"values": {"position": 3}})  # changes nothing
    api.post(f"rules/{rule['id']}/publish", {})
    restored = api.post(f"rules/{rule['id']}/restore", {"version": 1}).json()
    assert (restored["values"], restored["notes"], restored["status"]) == ({"position": 1}, "", "live")
    api.delete(f"rules/{rule['id']}")
    back = api.post(f"rules/{rule['id']}/restore", {"version": 2}).json()
    assert (back["values"], back["status"]) == ({"position": 3}, "draft")

    changes = api.get(f"rules/{rule['id']}/changes").json()["results"]
    actions = ["restored", "removed", "restored", "published", "changed", "created"]
    assert [each["action"] for each in changes] == actions
    assert [each["version"] for each in changes] == [6, 5, 4, 3, 2, 1]
    assert {each["actor"] for each in changes} == {rule["created_by"]}
    assert changes[4]["differences"] == [
        {"name": "notes", "before": "", "after": "further down"},
        {"name": "values", "before": {"position": 1}, "after": {"position": 3}},
    ]


def test_a_removed_rule_keeps_its_page_and_takes_no_change(api: ApiClient, tenant: Tenant) -> None:
    rule = make(api)
    api.delete(f"rules/{rule['id']}")
    assert api.get(f"rules/{rule['id']}").json()["status"] == "removed"
    assert api.get(f"rules/{rule['id']}/changes").status_code == 200
    for answer in (
        api.patch(f"rules/{rule['id']}", {"priority": 3}),
        api.post(f"rules/{rule['id']}/publish", {}),
        api.delete(f"rules/{rule['id']}"),
    ):
        assert answer.status_code == 409
        assert "restore a version of it first" in answer.json()["detail"]


def test_history_cannot_be_rewritten_even_by_raw_sql(api: ApiClient, tenant: Tenant) -> None:
    make(api)
    for write in (lambda: RuleChange.objects.update(actor="nobody"), lambda: RuleChange.objects.all().delete()):
        with pytest.raises(ProgrammingError, match="permission denied"), tenant_scope(tenant.id), transaction.atomic():
            write()


def test_an_ended_rule_is_not_published(api: ApiClient, tenant: Tenant) -> None:
    rule = make(api, ends_at="2020-01-01T00:00:00Z")
    refused = api.post(f"rules/{rule['id']}/publish", {})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "ends_at"
    assert api.get(f"rules/{rule['id']}").json()["status"] == "draft"


def test_an_unknown_rule_or_version_is_told_so(api: ApiClient, tenant: Tenant) -> None:
    nowhere = f"rules/{uuid4()}"
    assert api.get(nowhere).status_code == 404
    assert api.get(f"{nowhere}/changes").status_code == 404
    assert api.patch(nowhere, {}).status_code == 404
    assert api.post(f"{nowhere}/publish", {}).status_code == 404
    assert api.post(f"rules/{make(api)['id']}/restore", {"version": 9}).status_code == 404


def test_a_preview_shows_both_lists_what_moved_and_records_nothing(
    shop: Tenant, api: ApiClient, recommend: Callable[..., dict[str, Any]], post_events: Callable[..., None]
) -> None:
    post_events("item-01", "item-01", "item-01", "item-02", "item-02", "item-03", user_id="other")
    three = {"eq": {"field": "id", "value": "item-03"}}
    make(api, name="Boost three", kind="boost", target=three, values={"factor": 1.5}, publish=True)
    hide = {
        "name": "No item one",
        "kind": "hide",
        "key": "no-one",
        "target": {"eq": {"field": "id", "value": "item-01"}},
    }
    draft = make(api, values={"position": 2})
    request = {
        "scenario": "popular",
        "subject": {"user_id": "u1"},
        "count": 3,
        "rules": [draft["id"], hide | {"starts_at": "2100-01-01T00:00:00Z"}],
    }

    answer = api.post("rules/preview", request)

    assert answer.status_code == 200, answer.content
    shown = answer.json()
    assert ids(shown["before"]) == ["item-01", "item-02", "item-03"] == ids(recommend("popular", count=3))
    assert ids(shown["after"]) == ["item-02", "item-07", "item-03"]
    assert shown["moves"] == [
        {"id": "item-02", "title": "Tent 2", "before": 2, "after": 1, "rules": []},
        {"id": "item-07", "title": "Boot 7", "before": None, "after": 2, "rules": [draft["key"]]},
        {"id": "item-01", "title": "Boot 1", "before": 1, "after": None, "rules": ["no-one"]},
    ]
    with tenant_scope(shop.id):
        assert Decision.objects.count() == 1  # that of `recommend` above
        assert Rule.objects.count() == 2


def test_a_preview_of_a_live_rule_shows_what_it_does_now(shop: Tenant, api: ApiClient) -> None:
    live = make(api, publish=True)
    request = {"scenario": "popular", "subject": {"user_id": "u1"}, "count": 2, "rules": [live["id"]]}
    shown = api.post("rules/preview", request).json()
    assert ids(shown["before"])[0] != "item-07"
    assert ids(shown["after"])[0] == "item-07"


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"rules": []}, 400, "rules"),
        ({"rules": ["not-an-id"]}, 400, "rules[0]"),
        ({"rules": [str(uuid4())]}, 400, "rules[0]"),
        ({"rules": [PIN | {"values": {}}]}, 400, "rules[0].values"),
        ({"rules": [{"kind": "pin"}]}, 400, "rules[0].name"),
        ({"rules": [5]}, 400, "rules[0]"),
        ({"scenario": "nowhere"}, 404, None),
        ({"subject": {}}, 400, "subject"),
    ],
)
def test_a_preview_that_cannot_be_made_says_why(
    changes: dict[str, Any], status: int, field: str | None, shop: Tenant, api: ApiClient
) -> None:
    request = {"scenario": "popular", "subject": {"user_id": "u1"}, "rules": [PIN]}
    answer = api.post("rules/preview", request | changes)
    assert answer.status_code == status, answer.content
    if field:
        assert answer.json()["errors"][0]["field"] == field


def warnings(rule: dict[str, Any]) -> dict[str, list[str]]:
    return {each["code"]: each["rules"] for each in rule["warnings"]}


def test_likely_mistakes_are_told(shop: Tenant, api: ApiClient) -> None:
    pin = make(api, publish=True)
    assert warnings(pin) == {}
    assert warnings(make(api, name="Another first")) == {"same_place": [pin["key"]]}
    assert warnings(make(api, name="Elsewhere", values={"position": 2})) == {}

    boost = make(api, name="Boots up", kind="boost", target=BOOTS, values={"factor": 2}, publish=True)
    bury = {"kind": "bury", "values": {"factor": 0.5}}
    assert warnings(make(api, name="Seven down", **bury)) == {"opposed": [boost["key"]]}

    hide = make(api, name="No boots", kind="hide", target=BOOTS, values={})
    assert warnings(hide) == {"hidden": [pin["key"]], "few_items": []}
    assert "only 6 items may still be shown, of 12" in [each["message"] for each in hide["warnings"]]
    tents = {"eq": {"field": "categories", "value": "tents"}}
    assert warnings(make(api, name="Tents", kind="filter", target=tents, values={}))["hidden"] == [pin["key"]]

    nothing = {"eq": {"field": "brand", "value": "Nobody"}}
    assert warnings(make(api, name="Nothing", target=nothing, values={"position": 5})) == {"no_items": []}
    assert warnings(make(api, name="Where", values={"position": 6}, scenarios=["lobby"])) == {"unknown_scenario": []}

    half = {"kind": "promote", "target": BOOTS, "values": {"share": 60}}
    first = make(api, name="Sixty", publish=True, **half)
    assert warnings(make(api, name="Sixty more", **half)) == {"more_than_all": [first["key"]]}


def test_rules_that_never_meet_are_no_conflict(shop: Tenant, api: ApiClient) -> None:
    make(api, scenarios=["home"], publish=True)
    make(api, ends_at="2099-01-01T00:00:00Z", condition={"context": {"device": "mobile"}}, publish=True)
    later = {"scenarios": ["popular"], "starts_at": "2099-01-01T00:00:00Z"}
    assert "same_place" not in warnings(make(api, **later))
    desktop = {"scenarios": ["popular"], "condition": {"context": {"device": "desktop"}}}
    assert "same_place" not in warnings(make(api, **desktop))


def test_rules_belong_to_one_tenant(shop: Tenant, api: ApiClient, other_api: ApiClient) -> None:
    rule = make(api, publish=True)
    assert other_api.get("rules").json()["results"] == []
    for answer in (
        other_api.get(f"rules/{rule['id']}"),
        other_api.get(f"rules/{rule['id']}/changes"),
        other_api.patch(f"rules/{rule['id']}", {"name": "mine"}),
        other_api.post(f"rules/{rule['id']}/unpublish", {}),
        other_api.post(f"rules/{rule['id']}/restore", {"version": 1}),
        other_api.delete(f"rules/{rule['id']}"),
    ):
        assert answer.status_code == 404
    preview = {"scenario": "popular", "subject": {"user_id": "u1"}, "rules": [rule["id"]]}
    assert other_api.post("rules/preview", preview).status_code == 400
    assert api.get(f"rules/{rule['id']}").json() == rule


def test_each_call_needs_its_scope(shop: Tenant, api: ApiClient, client_with_scopes: Callable[..., ApiClient]) -> None:
    rule = make(api)
    reader = client_with_scopes("rules:read")
    assert reader.get(f"rules/{rule['id']}").status_code == 200
    preview = {"scenario": "popular", "subject": {"user_id": "u1"}, "rules": [rule["id"]]}
    assert reader.post("rules/preview", preview).status_code == 200
    for answer in (
        reader.post("rules", PIN),
        reader.patch(f"rules/{rule['id']}", {"name": "mine"}),
        reader.post(f"rules/{rule['id']}/publish", {}),
        reader.post(f"rules/{rule['id']}/unpublish", {}),
        reader.post(f"rules/{rule['id']}/restore", {"version": 1}),
        reader.delete(f"rules/{rule['id']}"),
    ):
        assert answer.status_code == 403
    assert client_with_scopes("recommendations:read").get("rules").status_code == 403
    assert api.get(f"rules/{rule['id']}").json() == rule
