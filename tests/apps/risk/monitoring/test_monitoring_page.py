"""Risk > Monitoring in the console."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from decisions.counting import refresh_kpi
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.apps.risk.monitoring.rows import Row, give
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator

PAGE = "/console/risk/monitoring/"


@pytest.fixture
def console(settings: Any) -> Callable[[Tenant], Client]:
    """console(tenant) is the browser of a viewer; from then on the process is the console."""

    def enter(tenant: Tenant) -> Client:
        settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
        settings.ROOT_URLCONF = "config.urls_console"
        with connected_as("console"):
            return logged_in(make_operator(tenant, Role.VIEWER))

    return enter


def read(client: Client, path: str = PAGE) -> str:
    with connected_as("console"):
        answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_empty_desk_says_what_is_missing(tenant: Tenant, console: Callable[[Tenant], Client]) -> None:
    page = read(console(tenant))
    for sentence in (
        "No assessment of this time has been counted",
        "Nothing was assessed in this time",
        "Too little to compare: 0 assessments",
        "No version stands beside the live one",
        "The schedule is off",
        "No run of this line yet",
    ):
        assert sentence in page


def test_figures_weeks_and_charts_are_shown_for_ones_own_tenant(
    tenant: Tenant, other_tenant: Tenant, console: Callable[[Tenant], Client]
) -> None:
    now = datetime.now(UTC)
    with tenant_scope(tenant.id):
        give(Row(now, now - timedelta(days=30), 0.3, "review", fraud_known_at=now) for _ in range(8))
        give(Row(now, now, 0.1) for _ in range(4))
        refresh_kpi(committed_after=timedelta(0))
    browser = console(tenant)
    page = read(browser)
    assert 'data-figure="Capacity used"' in page
    assert "66.67 %" in page  # 8 of 12 are alerts
    assert "Alerts by day, and what the desk can review" in page
    assert page.count("console-hatched") == 1
    assert "4 of 4 are still open" in page
    assert "Three months" in read(browser, f"{PAGE}?days=90")
    assert "No assessment of this time has been counted" in read(console(other_tenant))
