"""The queue and the buttons of a case, as operators of the console use them."""

import re
from typing import Any

import pytest
from django.test import Client

from apps.risk.cases import services
from apps.risk.cases.models import Case
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
