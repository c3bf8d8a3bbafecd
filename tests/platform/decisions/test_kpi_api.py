"""GET /api/v1/scenarios/{key}/kpi."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from decisions.counting import refresh_kpi
from decisions.services import define_scenario
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient
from tests.platform.decisions.test_kpi import follow, give_list
from tests.queries import CapturedQueries


@pytest.fixture
def sold(tenant: Tenant) -> Tenant:
    """A home page whose one list of two led to a purchase."""
    with tenant_scope(tenant.id):
        define_scenario(key="home", name="Home", application="recommendation", kind="popular")
        give_list("lamp")
        decision = give_list("tent", "boot")
        follow(decision, "click", "tent")
        follow(decision, "purchase", "tent", value=30.0, currency="EUR")
        refresh_kpi(committed_after=timedelta(0))
    return tenant


def test_the_kpi_of_the_last_week(sold: Tenant, api: ApiClient) -> None:
    kpi = api.get("scenarios/home/kpi").json()

    assert (kpi["total"]["lists"], kpi["total"]["clicked"], kpi["total"]["revenue"]) == (2, 1, 30.0)
    assert kpi["total"]["click_rate"]["value"] == 0.5
    assert kpi["total"]["revenue_per_1000"]["value"] == 15_000.0
    assert kpi["before"]["lists"] == 0
    assert kpi["before"]["click_rate"] is None
    assert [day["lists"] for day in kpi["days"]] == [0, 0, 0, 0, 0, 0, 2]
    assert (kpi["currency"], kpi["click_window_minutes"], kpi["purchase_window_days"]) == ("EUR", 30.0, 7.0)


def test_more_days_ask_no_more_of_the_database(sold: Tenant, api: ApiClient) -> None:
    def queries(path: str) -> int:
        with CapturedQueries() as captured:
            assert api.get(path).status_code == 200
        return len(captured)

    api.get("scenarios/home/kpi")  # notes that the key was used
    assert queries("scenarios/home/kpi") == queries("scenarios/home/kpi?since=2026-01-01&until=2026-03-31")


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("since=yesterday", "since", "Date has wrong format"),
        ("since=2026-03-02&until=2026-03-01", "since", "is later than the last day, 2026-03-01"),
        ("since=2026-01-01&until=2026-06-01", "since", "is more than 92 days before"),
        ("until=1890-01-01", "until", "must lie between 2000-01-01 and today"),
        ("since=9999-12-31", "since", "must lie between"),
    ],
)
def test_a_period_that_cannot_be_used_is_named(
    sold: Tenant, api: ApiClient, query: str, field: str, message: str
) -> None:
    answer = api.get(f"scenarios/home/kpi?{query}")
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["field"] == field
    assert message in error["message"]


def test_other_tenants_and_unknown_scenarios_are_not_there(sold: Tenant, other_api: ApiClient, api: ApiClient) -> None:
    assert other_api.get("scenarios/home/kpi").status_code == 404
    assert api.get("scenarios/attic/kpi").status_code == 404


def test_kpi_need_the_scope_of_decisions(sold: Tenant, client_with_scopes: Callable[..., ApiClient]) -> None:
    assert client_with_scopes("items:read").get("scenarios/home/kpi").status_code == 403
