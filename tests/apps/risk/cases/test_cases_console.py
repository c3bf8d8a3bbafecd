"""The queue and the buttons of a case, as operators of the console use them."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.risk.cases import services
from apps.risk.cases.merging import merge
from apps.risk.cases.models import Alert, Case
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.apps.risk.notifications.test_webhooks import raise_some
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator


@pytest.fixture(autouse=True)
def console_process(settings: Any) -> None:
    settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
    settings.ROOT_URLCONF = "config.urls_console"


class Desk:
    """The browser of an operator."""

    def __init__(self, tenant: Tenant, name: str = "anna", role: Role = Role.OPERATOR) -> None:
        self.tenant, self.email = tenant, f"{name}@{tenant.slug}.example"
        user = make_operator(tenant, role, self.email)
        with connected_as("console"):
            self.client: Client = logged_in(user)

    def get(self, address: str) -> str:
        with connected_as("console"):
            return self.client.get(f"/console/risk/case/{address}").content.decode()

    def page(self, case: Case) -> str:
        return self.get(f"{case.id}/change/")

    def press(self, page: str, action: str, **fields: Any) -> str:
        """What the operator sees once the dialog of a button on the page is confirmed."""
        address = re.findall(rf'hx-get="([^"]*/{action}/[^"]*)"', page)[0]
        with connected_as("console"):
            answer = self.client.post(address, {"_form_submitted": "on"} | fields)
            return self.client.get(answer["HX-Redirect"]).content.decode()

    def select(self, action: str, *cases: Case) -> str:
        """What the operator sees once something was done with the ticked cases of the queue."""
        ticked = {"action": action, "_selected_action": [str(case.id) for case in cases]}
        with connected_as("console"):
            return self.client.post("/console/risk/case/", ticked, follow=True).content.decode()


@pytest.fixture
def case(tenant: Tenant) -> Case:
    with tenant_scope(tenant.id):
        return raise_some("t-1")


def fresh(case: Case, tenant: Tenant) -> Case:
    with tenant_scope(tenant.id):
        return Case.objects.get(id=case.id)


def test_a_button_is_judged_by_the_case_as_its_page_showed_it(tenant: Tenant, case: Case) -> None:
    anna, ben = Desk(tenant), Desk(tenant, "ben")
    seen = anna.page(case)
    assert "The case is yours" in ben.press(ben.page(case), "take")
    for action in ("confirm", "escalate", "take", "release"):
        refused = anna.press(seen, action)
        assert "was changed meanwhile" in refused
        assert ben.email in refused
    now = fresh(case, tenant)
    assert (now.status, now.assignee) == ("open", ben.email)
    assert "Confirmed" in anna.press(anna.page(case), "confirm")
    assert fresh(case, tenant).status == "confirmed"


def test_a_release_of_what_has_changed_is_not_approved(tenant: Tenant) -> None:
    anna, ben = Desk(tenant), Desk(tenant, "ben")
    with tenant_scope(tenant.id):
        case = raise_some("t-1", score=0.9)
    anna.press(anna.page(case), "release")
    seen = ben.page(case)
    with tenant_scope(tenant.id):
        raise_some("t-2", score=0.9)
    assert "was changed meanwhile" in ben.press(seen, "approve_release")
    assert fresh(case, tenant).status == "open"


def test_a_note_is_added_whatever_happened_meanwhile(tenant: Tenant, case: Case) -> None:
    anna = Desk(tenant)
    seen = anna.page(case)
    with tenant_scope(tenant.id):
        services.move(case_id=case.id, to="escalated", actor="ben")
    assert "The customer was called" in anna.press(seen, "note", note="The customer was called.")


def test_a_button_that_names_no_version_changes_nothing(tenant: Tenant, case: Case) -> None:
    anna = Desk(tenant)
    page = anna.page(case).replace("?version=1", "")
    assert "which version of the case you saw" in anna.press(page, "take")
    assert fresh(case, tenant).assignee == ""


def test_several_cases_are_taken_at_once_but_none_that_is_closed(tenant: Tenant, case: Case) -> None:
    with tenant_scope(tenant.id):
        services.move(case_id=case.id, to="confirmed", actor="ben")
        other = raise_some("t-2", user="clara")
    anna = Desk(tenant)
    page = anna.select("take_selected", case, other)
    assert "1 cases are yours" in page
    assert "case 1 is confirmed" in page
    assert [fresh(each, tenant).assignee for each in (case, other)] == ["ben", anna.email]


def test_more_cases_than_one_request_can_change_are_left_alone(
    tenant: Tenant, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.risk.cases.admin.MOST_AT_ONCE", 1)
    with tenant_scope(tenant.id):
        other = raise_some("t-2", user="clara")
    assert "too many at once" in Desk(tenant).select("take_selected", case, other)
    assert [fresh(each, tenant).assignee for each in (case, other)] == ["", ""]


def test_a_case_is_given_to_a_member_and_back(tenant: Tenant, case: Case) -> None:
    anna, ben = Desk(tenant), Desk(tenant, "ben")
    reader = Desk(tenant, "rita", Role.ANALYST)
    dialog = anna.get(f"{case.id}/assign/")
    assert ben.email in dialog
    assert reader.email not in dialog
    assert f"{ben.email} has the case." in anna.press(anna.page(case), "assign", assignee=ben.email)
    assert fresh(case, tenant).assignee == ben.email
    assert "back in the queue" in ben.press(ben.page(case), "assign", assignee="")
    assert fresh(case, tenant).assignee == ""


def test_of_many_alerts_those_not_decided_come_first_and_all_have_a_page(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        case = raise_some(*(f"t-{number:02d}" for number in range(52)))
        Alert.objects.filter(transaction_id__gt="t-01").update(outcome="confirmed")
    anna = Desk(tenant)
    first, second = anna.page(case), anna.get(f"{case.id}/change/?alerts=2")
    shown = [re.findall(r">(t-\d\d)</a>", page) for page in (first, second)]
    assert set(shown[0][:2]) == {"t-00", "t-01"}
    assert [len(each) for each in shown] == [50, 2]
    assert len({*shown[0], *shown[1]}) == 52
    assert "Alerts 1 to 50 of 52" in first
    assert "?alerts=2#alerts" in first
    assert "Alerts 51 to 52 of 52" in second


def test_a_case_is_found_by_its_number_a_transaction_or_its_customer(tenant: Tenant, case: Case) -> None:
    with tenant_scope(tenant.id):
        raise_some("t-2", user="clara")
    anna = Desk(tenant)
    for wanted in ("number=2", "number=case 2", "transaction=t-2", "subject=clara"):
        assert set(re.findall(r"Case \d", anna.get(f"?{wanted}"))) == {"Case 2"}, wanted
    assert "give the number of a case" in anna.get("?number=second")
    assert re.findall(r"Case \d", anna.get("?transaction=t-9")) == []


def test_the_page_of_a_merged_case_leads_to_the_case_that_has_its_alerts(tenant: Tenant, case: Case) -> None:
    with tenant_scope(tenant.id):
        other = raise_some("t-2", user="clara")
        merge(case_id=case.id, other_id=other.id, actor="ben")
    page = Desk(tenant).page(other)
    assert "Merged into" in page
    assert f"/console/risk/case/{case.id}/change/" in page


def test_the_queue_shows_what_is_mine_nobodys_or_late(tenant: Tenant, case: Case) -> None:
    anna = Desk(tenant)
    with tenant_scope(tenant.id):
        late = raise_some("t-2", user="clara")
        Case.objects.filter(id=late.id).update(due_at=late.opened_at)
        services.assign(case_id=case.id, assignee=anna.email, actor="ben")
    shown = {
        address: set(re.findall(r"Case \d", anna.get(address))) for address in ("", "?whose=mine", "?whose=nobody")
    }
    assert shown == {"": {"Case 1", "Case 2"}, "?whose=mine": {"Case 1"}, "?whose=nobody": {"Case 2"}}
    assert set(re.findall(r"Case \d", anna.get("?due=late"))) == {"Case 2"}
