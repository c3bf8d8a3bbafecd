"""From an assessment to a case, and from the desk's decision to labels."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.risk.cases import services
from apps.risk.cases.models import Case, CaseStatus
from apps.risk.cases.selectors import cases
from apps.risk.transactions.models import Label, Transaction
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient
from tests.queries import CapturedQueries


def transaction(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"t-{number}",
        "subject": {"user_id": "anna"},
        "amount": 20.0,
        "currency": "EUR",
        "counterparty": "shop-1",
    } | changes


@pytest.fixture
def watching(api: ApiClient) -> None:
    """Large payments are to be looked at; very large ones are critical."""
    for name, least, severity in (("Large", 500, "medium"), ("Very large", 5_000, "critical")):
        rule = {"name": name, "expression": f"amount >= {least}", "action": "review", "severity": severity}
        made = api.post("risk/rules", rule)
        assert made.status_code == 201, made.content
        api.post(f"risk/rules/{made.json()['id']}/publish", {})


def only_case(api: ApiClient) -> dict[str, Any]:
    (case,) = api.get("risk/cases").json()["results"]
    return case


def change(api: ApiClient, case: dict[str, Any], **changes: Any) -> Any:
    return api.patch(f"risk/cases/{case['id']}", {"version": case["version"]} | changes)


@pytest.mark.usefixtures("watching")
def test_what_is_not_approved_becomes_an_alert_in_the_subjects_case(api: ApiClient) -> None:
    api.post("risk/assessments", transaction(1))
    assert api.get("risk/cases").json()["results"] == []

    first = api.post("risk/assessments", transaction(2, amount=900.0)).json()
    api.post("risk/assessments", transaction(3, amount=700.0))
    api.post("risk/assessments", transaction(4, amount=800.0, subject={"user_id": "ben"}))

    alerts = api.get("risk/alerts").json()["results"]
    assert [alert["transaction_id"] for alert in alerts] == ["t-4", "t-3", "t-2"]
    assert (alerts[2]["decision_id"], alerts[2]["severity"], alerts[2]["status"]) == (
        first["decision_id"],
        "medium",
        "open",
    )
    assert [rule["name"] for rule in alerts[2]["rules"]] == ["Large"]
    cases = api.get("risk/cases").json()["results"]
    assert [(case["number"], case["alert_count"]) for case in cases] == [(2, 1), (1, 2)]
    assert api.get("risk/alerts?severity=critical").json()["results"] == []
    of_ben = api.get("risk/alerts?user_id=ben").json()["results"]
    assert [alert["transaction_id"] for alert in of_ben] == ["t-4"]
    assert api.get("risk/alerts?user_id=nobody").json()["results"] == []
    assert api.get("risk/alerts?user_id=null").status_code == 400


@pytest.mark.usefixtures("watching")
def test_the_same_assessment_again_raises_no_second_alert(api: ApiClient) -> None:
    for _ in range(2):
        api.post("risk/assessments", transaction(1, amount=900.0))
    assert only_case(api)["alert_count"] == 1


@pytest.mark.usefixtures("watching")
def test_a_worse_alert_makes_the_case_more_urgent(api: ApiClient) -> None:
    api.post("risk/assessments", transaction(1, amount=900.0))
    before = only_case(api)
    api.post("risk/assessments", transaction(2, amount=9_000.0))
    after = only_case(api)
    assert (before["severity"], after["severity"]) == ("medium", "critical")
    assert after["due_at"] < before["due_at"]


@pytest.mark.usefixtures("watching")
def test_a_reopened_case_has_its_time_anew(api: ApiClient, tenant: Tenant) -> None:
    api.post("risk/assessments", transaction(1, amount=900.0))
    change(api, only_case(api), status="confirmed")
    with tenant_scope(tenant.id):
        Case.objects.update(due_at=timezone.now() - timedelta(days=20))
    reopened = change(api, only_case(api), status="in_review").json()
    assert not reopened["overdue"]
    left = datetime.fromisoformat(reopened["due_at"]) - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(days=1)


@pytest.mark.usefixtures("watching")
def test_a_confirmed_case_labels_its_transactions_as_fraud(api: ApiClient, tenant: Tenant) -> None:
    api.post("risk/assessments/batch", {"transactions": [transaction(n, amount=600.0 + n) for n in range(3)]})
    answer = change(api, only_case(api), status="confirmed")
    assert (answer.status_code, answer.json()["status"]) == (200, "confirmed")
    with tenant_scope(tenant.id):
        assert set(Label.objects.values_list("kind", flat=True)) == {"fraud"}
        assert Transaction.objects.filter(fraud_known_at=None).count() == 0
    # What comes after is another case.
    api.post("risk/assessments", transaction(9, amount=900.0))
    assert [case["status"] for case in api.get("risk/cases").json()["results"]] == ["open", "confirmed"]


@pytest.mark.usefixtures("watching")
def test_a_severe_case_is_released_by_two(api: ApiClient, client_with_scopes: Any, tenant: Tenant) -> None:
    other = client_with_scopes("risk-cases:read", "risk-cases:write")
    api.post("risk/assessments", transaction(1, amount=9_000.0))

    asked = change(api, only_case(api), status="false_alarm").json()
    assert (asked["status"], bool(asked["release_asked_by"])) == ("open", True)
    with tenant_scope(tenant.id):
        assert not Label.objects.exists()
    path = f"risk/cases/{asked['id']}/release"
    own = api.post(path, {"version": asked["version"], "approve": True})
    assert own.status_code == 409
    assert "somebody else" in own.json()["detail"]

    refused = other.post(path, {"version": asked["version"], "approve": False}).json()
    assert (refused["status"], refused["release_asked_by"]) == ("open", "")
    asked = change(api, refused, status="false_alarm").json()
    released = other.post(path, {"version": asked["version"], "approve": True}).json()
    assert released["status"] == "false_alarm"
    with tenant_scope(tenant.id):
        assert list(Label.objects.values_list("kind", flat=True)) == ["false_alarm"]
    kinds = [event["kind"] for event in api.get(f"risk/cases/{asked['id']}/events").json()["results"]]
    assert kinds == ["moved", "release_asked", "release_refused", "release_asked", "opened"]


@pytest.mark.usefixtures("watching")
def test_a_new_alert_ends_a_release_that_was_asked_for_without_it(api: ApiClient, client_with_scopes: Any) -> None:
    other = client_with_scopes("risk-cases:read", "risk-cases:write")
    api.post("risk/assessments", transaction(1, amount=9_000.0))
    asked_by = change(api, only_case(api), status="false_alarm").json()["release_asked_by"]
    api.post("risk/assessments", transaction(2, amount=9_500.0))

    case = only_case(api)
    assert case["release_asked_by"] == ""
    approved = other.post(f"risk/cases/{case['id']}/release", {"version": case["version"], "approve": True})
    assert approved.status_code == 400
    newest = api.get(f"risk/cases/{case['id']}/events").json()["results"][0]
    assert (newest["kind"], newest["note"]) == (
        "alerted",
        f"the release that {asked_by} asked for must be asked for anew",
    )
    again = change(api, case, status="false_alarm").json()
    released = other.post(f"risk/cases/{case['id']}/release", {"version": again["version"], "approve": True})
    assert released.json()["status"] == "false_alarm"


@pytest.mark.usefixtures("watching")
def test_who_saw_an_older_version_is_told_so_and_loses_nothing(api: ApiClient) -> None:
    api.post("risk/assessments", transaction(1, amount=900.0))
    seen = only_case(api)
    assert change(api, seen, assignee="anna@desk.example").status_code == 200
    late = change(api, seen, status="escalated")
    assert late.status_code == 409
    assert "anna@desk.example" in late.json()["detail"]
    assert only_case(api)["status"] == "open"


@pytest.mark.usefixtures("watching")
def test_cases_are_listed_by_who_has_them(api: ApiClient) -> None:
    for number, user in ((1, "anna"), (2, "ben")):
        api.post("risk/assessments", transaction(number, amount=900.0, subject={"user_id": user}))
    second, first = api.get("risk/cases").json()["results"]
    change(api, first, assignee="dora@desk.example")
    found = {
        wanted: [case["id"] for case in api.get(f"risk/cases?{wanted}").json()["results"]]
        for wanted in ("assignee=dora@desk.example", "assigned=true", "assigned=false")
    }
    assert found == {
        "assignee=dora@desk.example": [first["id"]],
        "assigned=true": [first["id"]],
        "assigned=false": [second["id"]],
    }


@pytest.mark.usefixtures("watching")
def test_bad_changes_are_told_with_the_cure(api: ApiClient) -> None:
    api.post("risk/assessments", transaction(1, amount=900.0))
    case = only_case(api)
    assert change(api, case, status="nowhere").status_code == 400
    assert change(api, case).status_code == 400
    # Of two changes of which one is refused none is made.
    assert change(api, case, assignee="anna@desk.example", status="open").status_code == 400
    assert only_case(api)["assignee"] == ""
    confirmed = change(api, case, status="confirmed").json()
    answer = change(api, confirmed, status="escalated")
    assert answer.status_code == 400
    assert "in_review" in answer.json()["errors"][0]["message"]
    # Nobody works on a closed case.
    given = change(api, confirmed, assignee="anna@desk.example")
    assert given.status_code == 400
    assert "in_review first" in given.json()["errors"][0]["message"]
    assert api.post(f"risk/cases/{case['id']}/events", {"note": "  "}).status_code == 400
    assert api.post(f"risk/cases/{case['id']}/release", {"version": 1, "approve": True}).status_code in (400, 409)


def test_alerts_are_raised_in_as_many_statements_for_many(api: ApiClient, watching: None) -> None:
    def statements(first: int, count: int) -> int:
        batch = [transaction(first + n, amount=900.0, subject={"user_id": f"u-{first + n}"}) for n in range(count)]
        with CapturedQueries() as queries:
            assert api.post("risk/assessments/batch", {"transactions": batch}).status_code == 200
        return len(queries)

    statements(0, 1)
    few, many = statements(100, 2), statements(200, 40)
    # The rules and the live versions are read once a second besides.
    assert many <= few + 5


def test_alerts_of_one_subject_that_race_meet_in_one_case(api: ApiClient, watching: None, tenant: Tenant) -> None:
    def pay(number: int) -> None:
        try:
            api.post("risk/assessments", transaction(number, amount=900.0))
        finally:
            connection.close()

    threads = [threading.Thread(target=pay, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert only_case(api)["alert_count"] == 6


def test_another_tenant_sees_none_of_it(api: ApiClient, other_api: ApiClient, watching: None) -> None:
    api.post("risk/assessments", transaction(1, amount=900.0))
    case = only_case(api)
    assert other_api.get("risk/cases").json()["results"] == []
    assert other_api.get(f"risk/cases/{case['id']}").status_code == 404
    assert change(other_api, case, status="confirmed").status_code == 404


def test_the_queue_begins_with_what_is_under_way_and_worst(scope: Tenant) -> None:
    now = timezone.now()
    for number, severity, closed_at in ((1, "low", None), (2, "critical", now), (3, "high", None)):
        Case.objects.create(
            number=number,
            subject_key=bytes([number]),
            severity=severity,
            opened_at=now,
            due_at=now,
            closed_at=closed_at,
        )
    assert [case.number for case in cases()] == [3, 1, 2]


@given(path=st.lists(st.sampled_from([str(status) for status in CaseStatus]), max_size=6))
def test_moves_end_only_where_the_table_says(path: list[str]) -> None:
    """Whatever is asked for, each step that is taken is one of MOVES, and each status can be left."""
    status = str(CaseStatus.OPEN)
    for wanted in path:
        if wanted in services.MOVES[status]:
            status = wanted
    assert services.MOVES[status]


def test_a_note_that_is_none_is_refused(scope: None) -> None:
    case = Case(number=1)
    with pytest.raises(ValidationError):
        services.add_note(case_id=case.id, note=" ", actor="anna")
