"""Alerts find their cases in one statement, whoever else works on these cases at that moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.risk.cases.deciding import change_alerts
from apps.risk.cases.merging import merge
from apps.risk.cases.models import Alert, Case, CaseEvent
from apps.risk.cases.raising import NewAlert, lock_cases, raise_alerts
from apps.risk.cases.services import add_note, change_many, move
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient
from tests.queries import CapturedQueries
from tests.waiting import until


def alert(name: str, subject: str = "anna", *, score: float = 0.5) -> NewAlert:
    return NewAlert(
        transaction_id=name,
        decision_id=uuid7(),
        subject_key=subject.encode(),
        verdict="review",
        score=score,
        amount=900.0,
        currency="EUR",
        reasons=[{"code": "amount", "text": "a large amount"}],
        rules=[],
        occurred_at=timezone.now(),
    )


def case_of(subject: str) -> Case:
    return Case.objects.get(subject_key=subject.encode(), closed_at=None)


@pytest.mark.parametrize("count", [1, 40])
def test_alerts_take_one_statement_and_one_that_asks_for_webhooks(scope: Tenant, count: int) -> None:
    alerts = [alert(f"t-{n}", f"subject-{n}") for n in range(count)]
    with CapturedQueries() as queries:
        raise_alerts(alerts)
    assert len(queries) == 2, [query["sql"][:90] for query in queries]
    assert Alert.objects.count() == Case.objects.count() == count


def test_those_of_one_call_join_and_open_cases_whose_numbers_have_no_gap(scope: Tenant) -> None:
    raise_alerts([alert("t-1")])
    raise_alerts([alert("t-2"), alert("t-3", "ben", score=0.9), alert("t-4"), alert("t-1"), alert("t-5", "carla")])
    assert [(case.number, case.alert_count, case.version) for case in Case.objects.order_by("number")] == [
        (1, 3, 2),
        (2, 1, 1),
        (3, 1, 1),
    ]
    assert (case_of("ben").severity, case_of("carla").severity) == ("high", "medium")
    events = CaseEvent.objects.filter(case=case_of("anna")).order_by("created_at")
    assert [(event.kind, event.after) for event in events] == [("opened", "t-1"), ("alerted", "t-2, t-4")]


def test_a_case_of_its_own_comes_before_the_one_that_an_older_was_merged_into(scope: Tenant) -> None:
    raise_alerts([alert("t-1"), alert("t-2", "ben")])
    older = case_of("ben")
    move(case_id=older.id, to="confirmed", actor="desk")
    raise_alerts([alert("t-3", "ben")])
    merge(case_id=case_of("anna").id, other_id=case_of("ben").id, actor="desk")
    raise_alerts([alert("t-4", "ben")])
    assert Alert.objects.get(transaction_id="t-4").case_id == case_of("anna").id
    move(case_id=older.id, to="in_review", actor="desk")
    raise_alerts([alert("t-5", "ben"), alert("t-6")])
    assert Alert.objects.get(transaction_id="t-5").case_id == older.id
    assert Alert.objects.get(transaction_id="t-6").case_id == case_of("anna").id


@pytest.mark.parametrize("subject", ["anna", "ben"])
def test_an_alert_that_comes_while_its_case_is_closed_opens_another(tenant: Tenant, subject: str) -> None:
    """Of ben the case was merged into anna's, which is closed."""
    with tenant_scope(tenant.id):
        raise_alerts([alert("t-1"), alert("t-2", "ben")])
        closed = case_of("anna")
        merge(case_id=closed.id, other_id=case_of("ben").id, actor="desk")
    with ThreadPoolExecutor(1) as pool:
        with tenant_scope(tenant.id):
            move(case_id=closed.id, to="confirmed", actor="desk")
            raised = pool.submit(elsewhere, tenant, lambda: raise_alerts([alert("t-3", subject)]))
            wait_until_somebody_waits()
        raised.result()
    with tenant_scope(tenant.id):
        opened = Alert.objects.select_related("case").get(transaction_id="t-3").case
        assert (opened.number, bytes(opened.subject_key), opened.status) == (3, subject.encode(), "open")
        closed.refresh_from_db()
        assert (closed.status, closed.alert_count) == ("confirmed", 2)


def test_a_case_that_is_reopened_while_an_alert_opens_another_stays_closed(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        raise_alerts([alert("t-1")])
        closed = move(case_id=case_of("anna").id, to="confirmed", actor="desk")
    with ThreadPoolExecutor(1) as pool:
        with tenant_scope(tenant.id):
            raise_alerts([alert("t-2")])
            reopened = pool.submit(elsewhere, tenant, lambda: move(case_id=closed.id, to="in_review", actor="desk"))
            wait_until_somebody_waits()
        with pytest.raises(ValidationError, match="another case under way"):
            reopened.result()


@pytest.mark.parametrize("work", ["alerts that join them", "decisions on their alerts", "moves"])
def test_several_cases_are_locked_in_one_order(tenant: Tenant, work: str) -> None:
    """However the caller orders them, nobody holds one case while waiting for one that comes before it."""
    with tenant_scope(tenant.id):
        raise_alerts([alert("t-1"), alert("t-2", "ben")])
        anna, ben = case_of("anna"), case_of("ben")
        ids = {each.transaction_id: each.id for each in Alert.objects.all()}

    def work_on_both() -> None:
        if work == "alerts that join them":
            raise_alerts([alert("t-3", "ben"), alert("t-4")])
        elif work == "moves":
            change_many(case_ids=[ben.id, anna.id], change=move, to="confirmed", actor="desk")
        else:
            change_alerts(alert_ids=[ids["t-2"], ids["t-1"]], status="confirmed", actor="desk")

    with ThreadPoolExecutor(1) as pool:
        with tenant_scope(tenant.id):
            add_note(case_id=anna.id, note="first", actor="desk")
            working = pool.submit(elsewhere, tenant, work_on_both)
            wait_until_somebody_waits()
            add_note(case_id=ben.id, note="second", actor="desk")
        working.result()
    with tenant_scope(tenant.id):
        assert set(Case.objects.values_list("version", flat=True)) == {3}


def test_a_case_is_given_away_and_moved_while_an_alert_joins_it(api: ApiClient, tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        raise_alerts([alert("t-1")])
        case = case_of("anna")
    both = {"version": 1, "assignee": "anna@desk.example", "status": "in_review"}

    def change() -> int:
        try:
            return api.patch(f"risk/cases/{case.id}", both).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with tenant_scope(tenant.id):
            lock_cases()
            changed = pool.submit(change)
            wait_until_somebody_waits()
            raise_alerts([alert("t-2")])
        assert changed.result() == 409
    with tenant_scope(tenant.id):
        assert case_of("anna").alert_count == 2


def elsewhere(tenant: Tenant, work: Callable[[], object]) -> None:
    """On a connection of its own, for a thread."""
    try:
        with tenant_scope(tenant.id):
            work()
    finally:
        connection.close()


def wait_until_somebody_waits() -> None:
    """Until another session waits for what this transaction holds."""

    def somebody_waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
            return bool(cursor.fetchone()[0])

    until(somebody_waits, every=0.01)
