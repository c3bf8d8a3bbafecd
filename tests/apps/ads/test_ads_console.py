"""The console's forms of ads: what they refuse."""

from typing import Any

from django.forms import MultiWidget
from django.test import Client

from apps.ads.campaigns.models import Flight
from apps.ads.campaigns.services import change
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import UNIT, make_live_flight
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator


def console_of(tenant: Tenant, settings: Any) -> Client:
    settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
    settings.ROOT_URLCONF = "config.urls_console"
    return logged_in(make_operator(tenant, Role.OPERATOR))


def shown(form: Any) -> dict[str, Any]:
    """What a browser would send of a page's form as it is."""
    found: dict[str, Any] = {}
    for each in form:
        value, widget = each.value(), each.field.widget
        if isinstance(widget, MultiWidget):
            found |= {f"{each.html_name}_{number}": part for number, part in enumerate(widget.decompress(value))}
        else:
            found[each.html_name] = "" if value is None else value
    return found


def test_a_form_that_was_opened_before_a_change_undoes_nothing(tenant: Tenant, settings: Any) -> None:
    with tenant_scope(tenant.id):
        flight = make_live_flight(daily_budget_micros=50 * UNIT)
    address = f"/console/ads/flight/{flight.id}/change/"
    with connected_as("console"):
        client = console_of(tenant, settings)
        opened = shown(client.get(address).context["adminform"].form)
        with connected_as("app"), tenant_scope(tenant.id):
            change(Flight, object_id=flight.id, actor="bob", changes={"daily_budget_micros": 5 * UNIT})
        refused = client.post(address, opened | {"name": "Winter"})
        assert "bob has changed the flight since" in refused.content.decode()
        saved = client.post(address, shown(client.get(address).context["adminform"].form) | {"name": "Winter"})
        assert saved.status_code == 302
    with tenant_scope(tenant.id):
        flight.refresh_from_db()
    assert (flight.name, flight.daily_budget_micros) == ("Winter", 5 * UNIT)
