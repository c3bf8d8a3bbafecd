"""A client decides alerts one by one: each labels its own transaction, and the case is closed with the last."""

from typing import Any

import pytest

from apps.risk.transactions.models import Label
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.services import create_api_key, rotate_api_key
from tests.apps.risk.cases.test_cases import change, only_case, transaction, watching
from tests.conftest import ApiClient

__all__ = ["watching"]
pytestmark = pytest.mark.usefixtures("watching")


def alerted(api: ApiClient, *amounts: float, **changes: Any) -> list[dict[str, Any]]:
    """Payments of one customer; their alerts, oldest first."""
    for number, amount in enumerate(amounts):
        assert api.post("risk/assessments", transaction(number, amount=amount, **changes)).status_code == 201
    return api.get("risk/alerts").json()["results"][::-1]


def decide(api: ApiClient, alert: dict[str, Any], **changes: Any) -> Any:
    version = api.get(f"risk/alerts/{alert['id']}").json()["version"]
    return api.patch(f"risk/alerts/{alert['id']}", {"version": version} | changes)


def labels(tenant: Tenant) -> dict[str, str]:
    with tenant_scope(tenant.id):
        return dict(Label.objects.order_by("known_at", "id").values_list("transaction_id", "kind"))


def test_each_alert_has_its_own_outcome_and_the_last_one_closes_the_case(api: ApiClient, tenant: Tenant) -> None:
    first, second = alerted(api, 600.0, 700.0)
    answer = decide(api, first, status="false_alarm", assignee="anna@desk.example")
    assert answer.status_code == 200, answer.content
    assert (answer.json()["status"], answer.json()["assignee"]) == ("false_alarm", "anna@desk.example")
    assert labels(tenant) == {"t-0": "false_alarm"}
    assert only_case(api)["status"] == "open"
    assert api.get(f"risk/alerts/{second['id']}").json()["status"] == "open"
    assert [each["id"] for each in api.get("risk/alerts?status=false_alarm").json()["results"]] == [first["id"]]
    assert [each["id"] for each in api.get("risk/alerts?status=open").json()["results"]] == [second["id"]]

    assert decide(api, second, status="confirmed").json()["status"] == "confirmed"
    assert labels(tenant) == {"t-0": "false_alarm", "t-1": "fraud"}
    case = only_case(api)
    assert (case["status"], case["closed_at"] is None) == ("confirmed", False)
    events = api.get(f"risk/cases/{case['id']}/events").json()["results"]
    assert [(each["kind"], each["after"], each["note"]) for each in events[:3]] == [
        ("moved", "confirmed", ""),
        ("alert_decided", "confirmed", "t-1"),
        ("alert_decided", "false_alarm", "t-0"),
    ]


def test_closing_the_case_leaves_what_was_said_of_an_alert(api: ApiClient, tenant: Tenant) -> None:
    first, _ = alerted(api, 600.0, 700.0)
    decide(api, first, status="false_alarm")
    change(api, only_case(api), status="confirmed")
    assert labels(tenant) == {"t-0": "false_alarm", "t-1": "fraud"}
    refused = decide(api, first, status="confirmed")
    assert refused.status_code == 400
    assert "in_review" in refused.json()["errors"][0]["message"]
    change(api, only_case(api), status="in_review")
    assert decide(api, first, status="confirmed").json()["status"] == "confirmed"
    assert labels(tenant) == {"t-0": "fraud", "t-1": "fraud"}


def test_a_severe_alert_is_released_by_two(api: ApiClient, client_with_scopes: Any, tenant: Tenant) -> None:
    other = client_with_scopes("risk-cases:read", "risk-cases:write")
    (alert,) = alerted(api, 9_000.0)
    asked = decide(api, alert, status="false_alarm").json()
    assert (asked["status"], bool(asked["release_asked_by"])) == ("open", True)
    path = f"risk/alerts/{alert['id']}/release"
    own = api.post(path, {"version": asked["version"], "approve": True})
    assert own.status_code == 409
    assert decide(api, alert, status="false_alarm").status_code == 400
    refused = other.post(path, {"version": asked["version"], "approve": False}).json()
    assert refused["release_asked_by"] == ""
    assert labels(tenant) == {}
    asked = decide(api, alert, status="false_alarm").json()
    released = other.post(path, {"version": asked["version"], "approve": True}).json()
    assert released["status"] == "false_alarm"
    assert labels(tenant) == {"t-0": "false_alarm"}
    assert only_case(api)["status"] == "false_alarm"


def test_the_keys_of_one_member_are_one_person(tenant: Tenant, api: ApiClient) -> None:
    with tenant_scope(tenant.id):
        key, raw = create_api_key(
            name="one", scopes=["risk-cases:read", "risk-cases:write"], created_by="anna@x.example"
        )
        _, again = rotate_api_key(key_id=key.id)
        _, others = create_api_key(name="two", scopes=["risk-cases:write"], created_by="ben@x.example")
    alerted(api, 9_000.0)
    case = only_case(api)
    asked = (
        ApiClient(raw).patch(f"risk/cases/{case['id']}", {"version": case["version"], "status": "false_alarm"}).json()
    )
    body = {"version": asked["version"], "approve": True}
    assert ApiClient(again).post(f"risk/cases/{case['id']}/release", body).status_code == 409
    assert ApiClient(others).post(f"risk/cases/{case['id']}/release", body).status_code == 200


def test_an_alert_that_changed_meanwhile_is_refused_and_bad_changes_are_told(
    api: ApiClient, other_api: ApiClient
) -> None:
    first, second = alerted(api, 600.0, 700.0)
    decide(api, second, assignee="ben@desk.example")
    late = api.patch(f"risk/alerts/{first['id']}", {"version": first["version"], "status": "confirmed"})
    assert late.status_code == 409
    assert "ben@desk.example" in late.json()["detail"]
    for body in ({"version": 1}, {"status": "confirmed"}, {"version": 1, "status": "open"}, {"version": 1, "x": 1}):
        assert api.patch(f"risk/alerts/{first['id']}", body).status_code == 400
    foreign = other_api.patch(f"risk/alerts/{first['id']}", {"version": 2, "status": "confirmed"})
    assert foreign.status_code == 404


def test_several_alerts_are_decided_in_one_call(api: ApiClient, tenant: Tenant) -> None:
    first, second, third = alerted(api, 600.0, 700.0, 9_000.0)
    unknown = first["case_id"]
    ids = [first["id"], unknown, third["id"], second["id"]]
    answer = api.patch("risk/alerts", {"ids": ids, "status": "false_alarm"})
    assert answer.status_code == 200, answer.content
    results = answer.json()["results"]
    assert [(each["id"], each["result"]) for each in results] == list(
        zip(ids, ["ok", "refused", "ok", "ok"], strict=True)
    )
    assert results[1]["reason"] == "there is no such alert"
    # The severe one waits for somebody else, and the case with it.
    assert results[2]["alert"]["release_asked_by"]
    assert labels(tenant) == {"t-0": "false_alarm", "t-1": "false_alarm"}
    assert only_case(api)["status"] == "open"
    assert api.patch("risk/alerts", {"ids": [], "status": "confirmed"}).status_code == 400
    assert api.patch("risk/alerts", {"ids": ids}).status_code == 400
