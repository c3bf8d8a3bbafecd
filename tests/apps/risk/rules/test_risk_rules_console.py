"""The console's pages of the desk's rules and lists: what each role can do, and what the pages show."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from uuid_utils.compat import uuid7

from apps.risk.lists.models import ListChange
from apps.risk.lists.services import NewEntry, add_entries, create_list
from apps.risk.models import BackTest, EntityList, ListEntry, RiskRule, Transaction
from apps.risk.rules.services import change_rule, create_rule
from apps.risk.tasks import run_back_test
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tenancy.tasks import TENANT_HEADER
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator
from tests.queries import CapturedQueries

RULES, LISTS = "/console/risk/riskrule/", "/console/risk/entitylist/"
FORM = {
    "name": "Large",
    "expression": "amount > 500",
    "action": "review",
    "severity": "high",
    "priority": "3",
    "description": "",
}


@pytest.fixture
def console(settings: Any) -> Callable[[Tenant, Role], Client]:
    def enter(tenant: Tenant, role: Role) -> Client:
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


def post(client: Client, address: str, **data: str) -> Any:
    with connected_as("console"):
        return client.post(address, data, follow=True)


def make(tenant: Tenant, name: str = "Large") -> RiskRule:
    with tenant_scope(tenant.id):
        return create_rule(actor="somebody", name=name, expression="amount > 500", action="review")


def make_transaction(tenant: Tenant, *, occurred_at: datetime, **values: Any) -> None:
    """t-1 of u1."""
    with tenant_scope(tenant.id):
        Transaction.objects.create(
            transaction_id="t-1",
            event_id=uuid7(),
            occurred_at=occurred_at,
            received_at=occurred_at,
            subject_key=subject_key("user_id", "u1"),
            amount=900.0,
            currency="EUR",
            **values,
        )


def fresh(tenant: Tenant, rule: RiskRule) -> RiskRule:
    with tenant_scope(tenant.id):
        return RiskRule.objects.get(id=rule.id)


def test_a_rule_is_written_checked_published_and_restored(
    tenant: Tenant, console: Callable[[Tenant, Role], Client]
) -> None:
    client = console(tenant, Role.OPERATOR)
    assert "No rules yet" in get(client, RULES)
    page = get(client, f"{RULES}add/")
    assert "customer_count_1h" in page
    assert 'hx-post="/console/risk/riskrule/check/"' in page
    refused = post(client, f"{RULES}add/", **FORM | {"expression": "amuont > 5"}).content.decode()
    assert "did you mean &#x27;amount&#x27;?" in refused
    page = post(client, f"{RULES}add/", **FORM).content.decode()
    assert "The rule is a draft" in page
    with tenant_scope(tenant.id):
        rule = RiskRule.objects.get()
    address = f"{RULES}{rule.id}/"

    post(client, f"{address}shadow/", _form_submitted="on")
    assert fresh(tenant, rule).mode == "shadow"
    post(client, f"{address}publish/", _form_submitted="on")
    assert fresh(tenant, rule).mode == "live"
    page = post(client, f"{address}change/", **FORM | {"expression": "amount > 900"}).content.decode()
    assert "It acts within a second or two." in page
    assert "amount &gt; 900" in page
    post(client, f"{address}restore/1/")
    restored = fresh(tenant, rule)
    assert (restored.expression, restored.mode, restored.version) == ("amount > 500", "live", 5)
    post(client, f"{address}unpublish/", _form_submitted="on")
    post(client, f"{address}remove/", _form_submitted="on")
    assert fresh(tenant, rule).removed_at
    assert "No rules yet" in get(client, RULES)
    assert "Restore" in get(client, f"{address}change/")


def test_a_form_that_was_opened_before_a_change_undoes_nothing(
    tenant: Tenant, console: Callable[[Tenant, Role], Client]
) -> None:
    rule = make(tenant)
    client = console(tenant, Role.OPERATOR)
    address = f"{RULES}{rule.id}/change/"
    assert '<input type="hidden" name="seen_version" value="1"' in get(client, address)
    with tenant_scope(tenant.id):
        change_rule(rule_id=rule.id, actor="bob", changes={"expression": "amount > 900"})
    refused = post(client, address, **FORM | {"seen_version": "1"}).content.decode()
    assert "bob has changed this rule since" in refused
    assert fresh(tenant, rule).expression == "amount > 900"
    post(client, address, **FORM | {"seen_version": "2"})
    assert fresh(tenant, rule).expression == FORM["expression"]


def test_the_check_answers_while_the_expression_is_written(
    tenant: Tenant, console: Callable[[Tenant, Role], Client]
) -> None:
    client = console(tenant, Role.OPERATOR)
    check = f"{RULES}check/"
    assert "It reads amount, hour" in post(client, check, expression="amount > 1 and hour < 5").content.decode()
    assert "column 10" in post(client, check, expression="amount > ").content.decode()
    assert post(client, check, expression=" ").content.strip() == b""
    assert "<b>" not in post(client, check, expression="'<b>' == 1").content.decode()


def test_viewers_see_and_only_operators_change(tenant: Tenant, console: Callable[[Tenant, Role], Client]) -> None:
    rule = make(tenant)
    with tenant_scope(tenant.id):
        listed = create_list(name="cards", kind="deny", field="card", actor="somebody")
    client = console(tenant, Role.VIEWER)
    assert "Large" in get(client, RULES)
    page = get(client, f"{RULES}{rule.id}/change/")
    assert "amount &gt; 500" in page
    assert "Try on these days" not in page
    assert "cards" in get(client, LISTS)
    assert "Add entries" not in get(client, f"{LISTS}{listed.id}/change/")
    post(client, f"{RULES}{rule.id}/publish/", _form_submitted="on")
    for address in (f"{RULES}{rule.id}/restore/1/", f"{RULES}{rule.id}/back-test/", f"{LISTS}{listed.id}/entries/"):
        assert post(client, address, values="x").status_code == 403
    assert post(client, f"{RULES}add/", **FORM).status_code == 403
    assert fresh(tenant, rule).version == 1


def test_another_business_reaches_no_rule_and_no_list(
    tenant: Tenant, other_tenant: Tenant, console: Callable[[Tenant, Role], Client]
) -> None:
    rule = make(tenant)
    with tenant_scope(tenant.id):
        listed = create_list(name="cards", kind="deny", field="card", actor="somebody")
    client = console(other_tenant, Role.OPERATOR)
    assert "Large" not in get(client, RULES)
    for address in (
        f"{RULES}{rule.id}/publish/",
        f"{RULES}{rule.id}/restore/1/",
        f"{RULES}{rule.id}/back-test/",
        f"{LISTS}{listed.id}/entries/",
    ):
        post(client, address, _form_submitted="on", values="x")
    assert fresh(tenant, rule).version == 1
    with tenant_scope(tenant.id):
        assert not BackTest.objects.exists()
        assert not ListEntry.objects.exists()


def test_a_back_test_is_started_followed_and_drawn(tenant: Tenant, console: Callable[[Tenant, Role], Client]) -> None:
    rule = make(tenant)
    day = datetime.now(UTC) - timedelta(days=12)
    make_transaction(tenant, occurred_at=day, fraud_known_at=day + timedelta(days=1))
    client = console(tenant, Role.ANALYST)
    span = {"from_day": day.date().isoformat(), "to_day": (day.date() + timedelta(days=1)).isoformat()}
    page = post(client, f"{RULES}{rule.id}/back-test/", **span).content.decode()
    assert "The back-test is queued" in page
    assert 'http-equiv="refresh"' in page
    with tenant_scope(tenant.id):
        made = BackTest.objects.get()
    run_back_test.apply(kwargs={"back_test_id": str(made.id)}, headers={TENANT_HEADER: tenant.id}, throw=True)
    page = get(client, f"{RULES}{rule.id}/change/")
    assert "1 of 1" in page
    assert "100.0 %" in page
    assert 'class="chart"' in page
    assert "t-1" in page
    assert 'http-equiv="refresh"' not in page
    assert "Give both days" in post(client, f"{RULES}{rule.id}/back-test/", from_day="x").content.decode()
    wrong = {"from_day": span["to_day"], "to_day": span["from_day"]}
    assert "must not come before" in post(client, f"{RULES}{rule.id}/back-test/", **wrong).content.decode()


def test_a_rule_is_tried_on_one_transaction(tenant: Tenant, console: Callable[[Tenant, Role], Client]) -> None:
    make_transaction(tenant, occurred_at=datetime.now(UTC) - timedelta(days=1))
    with tenant_scope(tenant.id):
        rule = create_rule(actor="somebody", name="Far", expression='amount > 500 and country == "DE"', action="review")
    address = f"{RULES}{rule.id}/change/"
    client = console(tenant, Role.VIEWER)
    assert "It does not hit" not in get(client, address)
    page = get(client, f"{address}?transaction=t-1")
    assert "It does not hit" in page
    parts = dict(re.findall(r'<td class="console-mono">([^<]*)</td><td>([^<]*)</td>', page))
    assert parts["amount &gt; 500"] == "True"
    assert (parts["amount"], parts["country"]) == ("900.0", "missing")
    with tenant_scope(tenant.id):
        change_rule(rule_id=rule.id, actor="somebody", changes={"expression": "amount > 500"})
    assert "It hits" in get(client, f"{address}?transaction=t-1")
    assert "There is no transaction with this id" in get(client, f"{address}?transaction=t-9")
    assert "The id " in get(client, f"{address}?transaction=%00")


def test_a_list_is_made_filled_and_emptied(tenant: Tenant, console: Callable[[Tenant, Role], Client]) -> None:
    client = console(tenant, Role.OPERATOR)
    assert "No lists yet" in get(client, LISTS)
    page = post(client, f"{LISTS}add/", name="cards", kind="deny", field="card", description="").content.decode()
    assert "Add its entries below" in page
    with tenant_scope(tenant.id):
        listed = EntityList.objects.get()
    page = post(client, f"{LISTS}{listed.id}/entries/", values="4711\n\n0815 \n4711", note="stolen").content.decode()
    assert "2 new entries" in page
    assert "4711" not in page
    with tenant_scope(tenant.id):
        entry = ListEntry.objects.first()
        assert entry is not None
    page = post(client, f"{LISTS}{listed.id}/entries/{entry.id}/remove/").content.decode()
    assert "Entries (1)" in page
    with tenant_scope(tenant.id):
        change = ListChange.objects.get(action="taken_out")
    assert f"/changes/{change.id}/put-back/" in page
    page = post(client, f"{LISTS}{listed.id}/changes/{change.id}/put-back/").content.decode()
    assert "Entries (2)" in page
    assert "/put-back/" not in page
    with tenant_scope(tenant.id):
        again = ListEntry.objects.get(value=entry.value)
    assert (again.note, again.expires_at) == ("stolen", None)
    assert "cards" in post(client, f"{LISTS}add/", name="cards", kind="deny", field="card").content.decode()
    with tenant_scope(tenant.id):
        rule = make(tenant)
        change_rule(rule_id=rule.id, actor="somebody", changes={"expression": 'in_list("cards", card)'})
    post(client, f"{LISTS}{listed.id}/remove/", _form_submitted="on")
    assert "ask for the list" in get(client, f"{LISTS}{listed.id}/change/")
    with tenant_scope(tenant.id):
        assert EntityList.objects.exists()


def test_any_entry_is_found_by_its_value_and_by_turning_pages(
    tenant: Tenant, console: Callable[[Tenant, Role], Client]
) -> None:
    with tenant_scope(tenant.id):
        cards = create_list(name="cards", kind="deny", field="card", actor="somebody")
        entries = [NewEntry(f"card-{number}", note=f"note {number};") for number in range(230)]
        add_entries(list_id=cards.id, entries=entries, actor="somebody")
        places = create_list(name="places", kind="deny", field="country", actor="somebody")
        add_entries(list_id=places.id, entries=[NewEntry("DE")], actor="somebody")
    client = console(tenant, Role.OPERATOR)
    address = f"{LISTS}{cards.id}/change/"

    def notes(page: str) -> set[str]:
        return set(re.findall(r"note \d+;", page))

    newest = get(client, address)
    older = get(client, address + re.findall(r'href="(\?before=[^"#]*)', newest)[0])
    assert (len(notes(newest)), len(notes(older))) == (200, 30)
    assert not notes(newest) & notes(older)
    assert "?before=" not in older
    assert notes(get(client, f"{address}?value=card-3")) == {"note 3;"}
    assert "The list holds no such entry" in get(client, f"{address}?value=card-999")
    assert "two upper-case letters" in get(client, f"{LISTS}{places.id}/change/?value=Germany")


def test_the_lists_cost_the_same_statements_however_long(
    tenant: Tenant, console: Callable[[Tenant, Role], Client]
) -> None:
    make(tenant)
    with tenant_scope(tenant.id):
        listed = create_list(name="cards", kind="deny", field="card", actor="somebody")
        add_entries(list_id=listed.id, entries=[NewEntry("1")], actor="somebody")
    client = console(tenant, Role.OPERATOR)

    def statements(address: str) -> int:
        get(client, address)
        with CapturedQueries() as queries:
            get(client, address)
        return len(queries)

    few = [statements(RULES), statements(LISTS)]
    for number in range(10):
        make(tenant, f"More {number}")
        with tenant_scope(tenant.id):
            create_list(name=f"more {number}", kind="deny", field="card", actor="somebody")
    assert [statements(RULES), statements(LISTS)] == few
