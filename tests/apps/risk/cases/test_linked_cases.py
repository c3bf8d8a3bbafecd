"""Cases whose subjects used the same things are shown together, and an operator makes one of them."""

import threading
from typing import Any

import pytest
from django.db import connection

from apps.risk.assessments.settings import change_settings
from apps.risk.cases.merging import linked_cases
from apps.risk.cases.models import Case
from apps.risk.transactions.models import Label
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.risk.cases.test_cases import transaction, watching
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

__all__ = ["watching"]
pytestmark = pytest.mark.usefixtures("watching")


def pay(api: ApiClient, number: int, user: str, amount: float = 900.0, **things: str) -> None:
    body = transaction(number, amount=amount, subject={"user_id": user}, counterparty=f"shop of {user}") | things
    assert api.post("risk/assessments", body).status_code == 201


def cases_by_number(api: ApiClient) -> dict[int, dict[str, Any]]:
    return {case["number"]: case for case in api.get("risk/cases").json()["results"]}


def linked(api: ApiClient, case: dict[str, Any]) -> list[tuple[int, dict[str, int]]]:
    found = api.get(f"risk/cases/{case['id']}/linked")
    assert found.status_code == 200, found.content
    return [(each["case"]["number"], each["shared"]) for each in found.json()]


def merge(api: ApiClient, case: dict[str, Any], other: dict[str, Any]) -> Any:
    return api.post(f"risk/cases/{case['id']}/merge", {"version": case["version"], "case": other["id"]})


def test_cases_that_share_things_are_linked_and_a_hub_links_nobody(api: ApiClient, tenant: Tenant) -> None:
    pay(api, 1, "anna", card="c1", device="d1", address="a1")
    pay(api, 2, "ben", card="c2", device="d1", address="a1", counterparty="shop of anna")
    pay(api, 3, "carla", card="c3", device="library")
    pay(api, 4, "dora", card="c4", device="library")
    for number in range(10, 15):
        pay(api, number, f"reader-{number}", amount=5.0, device="library")
    found = cases_by_number(api)
    assert linked(api, found[1]) == [(2, {"device": 1, "address": 1, "counterparty": 1})]
    assert (4, {"device": 1}) in linked(api, found[3])
    with tenant_scope(tenant.id):
        change_settings({"link_most_subjects": 5}, actor="test")
    assert linked(api, found[1]) == [(2, {"device": 1, "address": 1, "counterparty": 1})]
    assert linked(api, found[3]) == []


def test_links_take_as_many_statements_for_many(api: ApiClient, tenant: Tenant) -> None:
    for number in range(12):
        pay(api, number, f"u-{number}", device="d1", card="c1")
    with tenant_scope(tenant.id), CapturedQueries() as queries:
        assert len(linked_cases(Case.objects.get(number=1))) == 11
    # The case itself, its transactions, cards, devices, counterparties, settings, cases.
    assert len(queries) <= 7


def test_a_merged_case_brings_its_alerts_and_what_follows(api: ApiClient, tenant: Tenant) -> None:
    pay(api, 1, "anna", device="d1")
    pay(api, 2, "ben", amount=9_000.0, device="d1")
    found = cases_by_number(api)
    merged = merge(api, found[1], found[2])
    assert merged.status_code == 200, merged.content
    assert (merged.json()["severity"], merged.json()["alert_count"]) == ("critical", 2)
    assert merged.json()["due_at"] == found[2]["due_at"]
    other = cases_by_number(api)[2]
    assert (other["status"], other["merged_into"], other["alert_count"]) == ("merged", found[1]["id"], 0)
    # Both subjects' later alerts join it, also within one call.
    batch = [transaction(3, amount=800.0, subject={"user_id": "ben"}), transaction(4, amount=800.0)]
    assert api.post("risk/assessments/batch", {"transactions": batch}).status_code == 200
    now = cases_by_number(api)
    assert sorted(now) == [1, 2]
    assert now[1]["alert_count"] == 4
    confirmed = api.patch(f"risk/cases/{now[1]['id']}", {"version": now[1]["version"], "status": "confirmed"})
    assert confirmed.status_code == 200
    with tenant_scope(tenant.id):
        assert Label.objects.filter(kind="fraud").count() == 4
    # Once it is closed, each subject has cases of its own again.
    pay(api, 5, "ben")
    assert cases_by_number(api)[3]["status"] == "open"
    kinds = [event["kind"] for event in api.get(f"risk/cases/{other['id']}/events").json()["results"]]
    assert kinds == ["merged", "opened"]


def test_cases_merged_one_after_the_other_end_in_one(api: ApiClient) -> None:
    for number, user in enumerate(("anna", "ben", "carla"), start=1):
        pay(api, number, user)
    found = cases_by_number(api)
    merge(api, found[2], found[3])
    assert merge(api, found[1], cases_by_number(api)[2]).json()["alert_count"] == 3
    pay(api, 9, "carla")
    now = cases_by_number(api)
    assert (now[1]["alert_count"], now[3]["merged_into"]) == (4, found[1]["id"])


def test_a_release_that_was_asked_for_must_be_asked_for_anew(api: ApiClient) -> None:
    pay(api, 1, "anna", amount=9_000.0)
    pay(api, 2, "ben")
    case = cases_by_number(api)[1]
    api.patch(f"risk/cases/{case['id']}", {"version": case["version"], "status": "false_alarm"})
    found = cases_by_number(api)
    assert found[1]["release_asked_by"]
    assert merge(api, found[1], found[2]).json()["release_asked_by"] == ""


def test_what_cannot_be_merged_is_told(api: ApiClient, other_api: ApiClient) -> None:
    pay(api, 1, "anna")
    pay(api, 2, "ben")
    found = cases_by_number(api)
    assert merge(api, found[1], found[1]).status_code == 400
    assert merge(api, found[1] | {"version": 9}, found[2]).status_code == 409
    assert merge(api, found[1], {"id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11"}).status_code == 404
    assert merge(other_api, found[1], found[2]).status_code == 404
    api.patch(f"risk/cases/{found[2]['id']}", {"version": 1, "status": "confirmed"})
    closed = merge(api, found[1], found[2])
    assert closed.status_code == 400
    assert "case 2 is confirmed" in closed.json()["errors"][0]["message"]


def test_no_alert_is_lost_in_a_case_that_is_merged_meanwhile(api: ApiClient) -> None:
    pay(api, 1, "anna")
    pay(api, 2, "ben")
    found = cases_by_number(api)

    def run(work: Any) -> None:
        try:
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(lambda n=n: pay(api, n, "ben"),)) for n in range(10, 16)]
    threads.insert(3, threading.Thread(target=run, args=(lambda: merge(api, found[1], found[2]),)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = cases_by_number(api)
    alerts = api.get("risk/alerts").json()["results"]
    assert len(alerts) == 8
    if now[2]["status"] == "merged":
        assert {alert["case_number"] for alert in alerts} == {1}
        assert now[1]["alert_count"] == 8
