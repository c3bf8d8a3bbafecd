"""An operator decides on one alert of a case from its page; a severe false alarm needs a second operator."""

import re
from typing import Any

import pytest
from django.test import Client

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


class Operator:
    def __init__(self, tenant: Tenant, role: Role = Role.OPERATOR, name: str = "anna") -> None:
        user = make_operator(tenant, role, f"{name}@{tenant.slug}.example")
        with connected_as("console"):
            self.client: Client = logged_in(user)

    def read(self, case: Case) -> str:
        with connected_as("console"):
            return self.client.get(f"/console/risk/case/{case.id}/change/").content.decode()

    def decide(self, alert: Alert, decision: str, *, version: str = "") -> str:
        """The page afterwards, or the status where there is none."""
        page = self.read(alert.case)
        version = version or re.findall(r'name="version" value="(\d+)"', page)[0]
        with connected_as("console"):
            answer = self.client.post(
                f"/console/risk/case/{alert.case_id}/alerts/{alert.id}/",
                {"decision": decision, "version": version},
                follow=True,
            )
        return answer.content.decode() if answer.status_code == 200 else str(answer.status_code)


@pytest.fixture
def alerts(tenant: Tenant) -> list[Alert]:
    """Of one case: an ordinary and a severe one."""
    with tenant_scope(tenant.id):
        raise_some("t-1")
        raise_some("t-2", score=0.9)
        return list(Alert.objects.select_related("case").order_by("transaction_id"))


def outcomes(tenant: Tenant) -> dict[str, str]:
    with tenant_scope(tenant.id):
        return dict(Alert.objects.values_list("transaction_id", "outcome"))


def test_one_alert_is_decided_and_the_others_wait(tenant: Tenant, alerts: list[Alert]) -> None:
    operator = Operator(tenant)
    page = operator.decide(alerts[0], "false_alarm")
    assert "what you decided is kept" in page
    assert outcomes(tenant) == {"t-1": "false_alarm", "t-2": ""}
    with tenant_scope(tenant.id):
        assert Case.objects.get().status == "open"


def test_a_severe_false_alarm_takes_two_operators(tenant: Tenant, alerts: list[Alert]) -> None:
    anna, ben = Operator(tenant), Operator(tenant, name="ben")
    page = anna.decide(alerts[1], "false_alarm")
    assert "somebody else must approve" in page
    assert "Approve release" in page
    assert "somebody else must decide" in anna.decide(alerts[1], "approve")
    assert outcomes(tenant)["t-2"] == ""
    assert "what you decided is kept" in ben.decide(alerts[1], "approve")
    assert outcomes(tenant)["t-2"] == "false_alarm"


def test_the_last_alert_closes_the_case_and_takes_the_buttons_away(tenant: Tenant, alerts: list[Alert]) -> None:
    operator = Operator(tenant)
    operator.decide(alerts[0], "false_alarm")
    page = operator.decide(alerts[1], "confirmed")
    assert 'name="decision"' not in page
    with tenant_scope(tenant.id):
        assert Case.objects.get().status == "confirmed"


def test_a_case_that_changed_meanwhile_changes_nothing(tenant: Tenant, alerts: list[Alert]) -> None:
    assert "was changed meanwhile" in Operator(tenant).decide(alerts[0], "confirmed", version="99")
    assert outcomes(tenant) == {"t-1": "", "t-2": ""}


def test_who_may_not_decide_has_no_buttons_and_is_refused(
    tenant: Tenant, other_tenant: Tenant, alerts: list[Alert]
) -> None:
    analyst = Operator(tenant, Role.ANALYST)
    assert 'name="decision"' not in analyst.read(alerts[0].case)
    assert analyst.decide(alerts[0], "confirmed", version="1") == "403"
    assert Operator(other_tenant).decide(alerts[0], "confirmed", version="1") == "404"
    assert outcomes(tenant) == {"t-1": "", "t-2": ""}
