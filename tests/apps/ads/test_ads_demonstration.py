"""The demonstration's advertisers have something on each of their pages, and come once."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.ads.budgets.selectors import flight_accounts
from apps.ads.campaigns.models import Creative, Flight, ReviewStatus
from apps.ads.demonstrations.market import FLIGHTS, READERS, fill_ads
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient


def interrupted() -> None:
    raise KeyboardInterrupt


def test_advertisers_and_todays_readers_come_once(tenant: Tenant, api: ApiClient) -> None:
    said: list[str] = []
    state: dict[str, Any] = {}

    def fill(save: Callable[[], None] = lambda: None) -> None:
        fill_ads(tenant.id, state=state, save=save, say=said.append)

    # Ended once the flights are there, and before anybody has read.
    with pytest.raises(KeyboardInterrupt):
        fill(save=interrupted)
    fill()
    fill()
    assert len(said) == 1
    with tenant_scope(tenant.id):
        assert Flight.objects.filter(status="live").count() == len(FLIGHTS)
        assert Creative.objects.filter(review=ReviewStatus.PENDING).exists(), "the operator has something to approve"
        assert [each.problems for each in flight_accounts() if each.problems] == []
    rows = {row["name"]: row for row in api.get("ads/reports").json()["rows"]}
    assert rows.keys() == {made.name for made in FLIGHTS}
    assert sum(row["impressions"] for row in rows.values()) > READERS
    assert all(row["clicks"] for row in rows.values())
    assert rows["Tents for readers of tents"]["spend_micros"] > 0
