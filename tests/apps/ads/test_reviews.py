"""Creatives are approved and rejected through the API; with four eyes never by who made them."""

from typing import Any

import pytest

from apps.ads.campaigns.models import Creative, Flight
from apps.ads.campaigns.services import SameEyes, change, create, review
from apps.ads.settings import change_settings
from tenancy.api_scopes import API_SCOPES
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.services import create_api_key
from tests.apps.ads.world import flight_values, make_campaign
from tests.conftest import ApiClient

CREATIVE = {
    "name": "Banner",
    "width": 300,
    "height": 250,
    "text": "Sleep outside",
    "click_url": "https://tents.example/",
}


@pytest.fixture
def creative(tenant: Tenant, api: ApiClient) -> dict[str, Any]:
    with tenant_scope(tenant.id):
        values = flight_values()
        campaign = make_campaign()
    times = {name: values[name].isoformat() for name in ("starts_at", "ends_at")}
    flight = api.post("ads/flights", values | times | {"campaign_id": str(campaign.id)}).json()
    return api.post("ads/creatives", CREATIVE | {"flight_id": flight["id"]}).json()


def key_of(tenant: Tenant, member: str) -> ApiClient:
    with tenant_scope(tenant.id):
        return ApiClient(create_api_key(name="key", scopes=list(API_SCOPES), created_by=member)[1])


def test_a_client_without_the_console_takes_a_flight_live(api: ApiClient, creative: dict[str, Any]) -> None:
    assert [each["id"] for each in api.get("ads/creatives?review=pending").json()["results"]] == [creative["id"]]
    approved = api.post(f"ads/creatives/{creative['id']}/approve", {"version": creative["version"]}).json()
    assert approved["review"] == "approved"
    assert api.post(f"ads/flights/{creative['flight_id']}/start", None).json()["status"] == "live"

    address = f"ads/creatives/{creative['id']}/reject"
    assert api.post(address, {"version": approved["version"]}).json()["errors"][0]["field"] == "note"
    rejected = api.post(address, {"version": approved["version"], "note": "too loud"}).json()
    assert (rejected["review"], rejected["review_note"]) == ("rejected", "too loud")


def test_what_changed_after_it_was_looked_at_is_not_approved(api: ApiClient, creative: dict[str, Any]) -> None:
    api.patch(f"ads/creatives/{creative['id']}", {"width": 728, "height": 90})
    answer = api.post(f"ads/creatives/{creative['id']}/approve", {"version": creative["version"]})
    assert answer.status_code == 409
    assert "has been changed since you looked at it" in answer.json()["detail"]
    assert api.get(f"ads/creatives/{creative['id']}").json()["review"] == "pending"


def test_to_approve_needs_a_scope_of_its_own(client_with_scopes: Any, creative: dict[str, Any]) -> None:
    for verb in ("approve", "reject"):
        answer = client_with_scopes("ads:read", "ads:write").post(f"ads/creatives/{creative['id']}/{verb}", {})
        assert answer.status_code == 403
    reviewer = client_with_scopes("ads-review:write")
    assert reviewer.post(f"ads/creatives/{creative['id']}/approve", {"version": 1}).status_code == 200


def test_with_four_eyes_no_member_approves_by_another_key_what_one_of_theirs_made(
    tenant: Tenant, api: ApiClient, creative: dict[str, Any]
) -> None:
    assert api.patch("ads/settings", {"four_eyes": True}).json()["four_eyes"]
    ada, ada_again, bob = (key_of(tenant, member) for member in ("ada", "ada", "bob"))
    address = f"ads/creatives/{creative['id']}"
    version = ada.patch(address, {"text": "Sleep well"}).json()["version"]
    refused = ada_again.post(f"{address}/approve", {"version": version})
    assert (refused.status_code, "somebody else must approve" in refused.json()["detail"]) == (409, True)
    assert bob.post(f"{address}/approve", {"version": version}).json()["review"] == "approved"


def test_with_four_eyes_all_who_had_a_hand_in_it_since_its_last_approval_count(scope: Tenant) -> None:
    def change_text(actor: str, text: str) -> None:
        change(Creative, object_id=creative.id, actor=actor, changes={"text": text})

    def word(actor: str, *, approve: bool = True) -> None:
        review(creative_id=creative.id, approve=approve, actor=actor, note="no")

    change_settings({"four_eyes": True}, actor="test")
    flight = create(Flight, actor="ada", campaign_id=make_campaign().id, **flight_values())
    creative = create(Creative, actor="ada", flight_id=flight.id, **CREATIVE)
    change_text("bob", "Sleep well")
    for author in ("ada", "bob"):
        with pytest.raises(SameEyes):
            word(author)
    word("cleo")
    # Who renames it changes nothing that is shown.
    change(Creative, object_id=creative.id, actor="cleo", changes={"name": "Other"})
    word("dan", approve=False)
    with pytest.raises(SameEyes):
        word("ada")
    word("cleo")
    change_text("bob", "Sleep on")
    word("ada")
