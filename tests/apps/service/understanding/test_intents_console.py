"""The console's page of intents: what each role can do, and what is flagged."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.service.models import Intent, IntentExample
from apps.service.understanding.examples import NewExample
from apps.service.understanding.services import add_examples, create_intent
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator

INTENTS = "/console/service/intent/"


@pytest.fixture
def console(settings: Any, tenant: Tenant) -> Callable[[Role], Client]:
    def enter(role: Role) -> Client:
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


@pytest.fixture
def refund(tenant: Tenant) -> Intent:
    with tenant_scope(tenant.id):
        made = create_intent(name="refund", actor="test")
        create_intent(name="delivery", actor="test")
        add_examples(
            examples=[
                NewExample("where is my refund please", "refund"),
                NewExample("please where is my refund", "delivery"),
            ],
            actor="test",
        )
    return made


def test_an_operator_makes_an_intent_and_says_that_it_may_be_sent(
    console: Callable[[Role], Client], tenant: Tenant
) -> None:
    client = console(Role.OPERATOR)
    answer = post(client, f"{INTENTS}add/", name="refund", description="money back")
    assert "The intent is made" in answer.content.decode()
    with tenant_scope(tenant.id):
        made = Intent.objects.get()
    assert not made.auto_send
    post(client, f"{INTENTS}{made.id}/change/", description="money back", auto_send="on")
    with tenant_scope(tenant.id):
        assert Intent.objects.get().auto_send


def test_a_name_that_is_taken_is_refused_at_its_field(console: Callable[[Role], Client], refund: Intent) -> None:
    answer = post(console(Role.OPERATOR), f"{INTENTS}add/", name="refund", description="")
    assert "there is an intent &#x27;refund&#x27; already" in answer.content.decode()


def test_counts_and_conflicts_are_shown(console: Callable[[Role], Client], refund: Intent) -> None:
    client = console(Role.VIEWER)
    assert ">1<" in get(client, INTENTS)
    page = get(client, f"{INTENTS}{refund.id}/change/")
    assert "Conflict" in page
    assert "please where is my refund" in page
    assert "Add examples" not in page


def test_examples_are_added_by_line_and_removed(
    console: Callable[[Role], Client], refund: Intent, tenant: Tenant
) -> None:
    client = console(Role.OPERATOR)
    address = f"{INTENTS}{refund.id}/examples/"
    page = post(client, address, texts="money back?\n\nPLEASE where is my refund\n").content.decode()
    assert "1 new examples" in page
    assert "is an example of &#x27;delivery&#x27; already" in page
    with tenant_scope(tenant.id):
        example = IntentExample.objects.get(text="money back?")
    page = post(client, f"{address}{example.id}/remove/").content.decode()
    with tenant_scope(tenant.id):
        assert not IntentExample.objects.filter(text="money back?").exists()
    # It waits in the field for whoever did not mean it, until the page is opened again.
    assert ">money back?</textarea>" in page
    assert "money back?" not in get(client, f"{INTENTS}{refund.id}/change/")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST])
def test_other_roles_change_nothing(
    console: Callable[[Role], Client], refund: Intent, tenant: Tenant, role: Role
) -> None:
    client = console(role)
    assert post(client, f"{INTENTS}{refund.id}/examples/", texts="more").status_code == 403
    post(client, f"{INTENTS}{refund.id}/change/", description="changed", auto_send="on")
    with tenant_scope(tenant.id):
        kept = Intent.objects.get(name="refund")
        assert (kept.description, kept.auto_send, IntentExample.objects.count()) == ("", False, 2)
