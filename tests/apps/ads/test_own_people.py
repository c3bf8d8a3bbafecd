"""What an advertiser's own people see and click counts for nothing."""

from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.budgets.models import FlightBudget, LedgerEntry
from apps.ads.campaigns.models import Advertiser, Campaign
from apps.ads.campaigns.services import change, create
from apps.ads.models import OwnSubject
from apps.ads.tracking.own import MOST_OWN_SUBJECTS, put_own_subjects
from apps.ads.tracking.services import Visitor
from behavior.identity import link
from behavior.services import store_events
from behavior.subjects import BadSubject, read_subject
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.apps.ads.world import BROWSER, UNIT, click, make_campaign, make_live_flight, make_placement, see
from tests.conftest import ApiClient
from tests.database import connected_as

AT_DESK = Visitor(BROWSER, "2001:db8:7::1")


def place(user: str) -> UUID:
    (placed,) = decide(Ask(("top",), read_subject({"user_id": user}), user_agent=BROWSER, has_consent=True))
    assert placed.lead is not None
    return placed.decision_id


@pytest.fixture
def campaign(scope: Tenant) -> Campaign:
    """Of an advertiser with one live flight that pays for impressions."""
    make_placement(auction="first_price")
    campaign = make_campaign()
    make_live_flight(campaign, bid_micros=UNIT, budget_micros=50 * UNIT)
    return campaign


def spent() -> int:
    return sum(FlightBudget.objects.values_list("spent_micros", flat=True))


def test_an_advertisers_own_people_are_told_by_subject(campaign: Campaign) -> None:
    put_own_subjects(advertiser_id=campaign.advertiser_id, subjects=[{"user_id": "boss"}], actor="test")
    assert see(place("boss")).filtered == "self_click"
    assert (spent(), LedgerEntry.objects.count()) == (0, 0)
    assert see(place("reader")).filtered is None
    assert spent() == 1000


def test_a_click_of_ones_own_is_not_billed_and_still_leads_on(scope: Tenant) -> None:
    make_placement(auction="first_price")
    flight = make_live_flight(bid_kind="cpc", bid_micros=UNIT, budget_micros=50 * UNIT)
    delivery = place("boss")
    see(delivery)
    put_own_subjects(advertiser_id=flight.campaign.advertiser_id, subjects=[{"user_id": "boss"}], actor="test")
    outcome = click(delivery)
    assert (outcome.filtered, outcome.billed_micros) == ("self_click", 0)
    assert outcome.click_url == "https://tents.example/autumn"
    assert spent() == 0


def test_they_are_told_by_network_and_the_readers_address_is_not_kept(campaign: Campaign) -> None:
    change(Advertiser, object_id=campaign.advertiser_id, actor="test", changes={"own_networks": ["2001:db8:7::/48"]})
    assert see(place("reader"), AT_DESK).filtered == "self_click"
    with connection.cursor() as cursor:
        for table in ("ads_delivery", "ads_filteredevent"):
            cursor.execute(f"SELECT count(*) FROM {table} AS kept WHERE kept::text LIKE '%2001:db8%'")
            assert cursor.fetchone() == (0,)


def test_people_of_one_advertiser_are_readers_of_another(campaign: Campaign) -> None:
    other = create(Advertiser, actor="test", name="Boots Ltd", currency="EUR", own_networks=["2001:db8:7::/48"])
    put_own_subjects(advertiser_id=other.id, subjects=[{"user_id": "boss"}], actor="test")
    assert see(place("boss"), AT_DESK).filtered is None
    assert spent() == 1000


def test_people_of_the_business_count_for_no_advertiser(campaign: Campaign) -> None:
    put_own_subjects(advertiser_id=None, subjects=[{"user_id": "clerk"}], actor="test")
    put_own_subjects(advertiser_id=campaign.advertiser_id, subjects=[], actor="test")
    assert see(place("clerk")).filtered == "self_click"


def test_they_are_the_same_people_on_another_device(campaign: Campaign) -> None:
    put_own_subjects(advertiser_id=campaign.advertiser_id, subjects=[{"user_id": "boss"}], actor="test")
    phone = {"anonymous_id": "phone"}
    store_events(events=[{"message_id": "m", "type": "view", "subject": phone, "item_id": "i"}], source="test")
    link(user_id="boss", anonymous_id="phone", actor="test")
    (placed,) = decide(Ask(("top",), read_subject(phone), user_agent=BROWSER, has_consent=True))
    assert see(placed.decision_id).filtered == "self_click"


def test_an_erasure_takes_them_out(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        put_own_subjects(advertiser_id=None, subjects=[{"user_id": "clerk"}, {"user_id": "boss"}], actor="test")
    with connected_as("owner"), tenant_scope(tenant.id), connection.cursor() as cursor:
        key = subject_key("user_id", "clerk")
        cursor.execute("DELETE FROM behavior_subjectidentity WHERE subject_key = %s", [key])
    with tenant_scope(tenant.id):
        assert [bytes(each.subject_key) for each in OwnSubject.objects.all()] == [subject_key("user_id", "boss")]


def test_lists_and_networks_that_cannot_be_used_change_nothing(campaign: Campaign) -> None:
    put_own_subjects(advertiser_id=campaign.advertiser_id, subjects=[{"user_id": "boss"}], actor="test")
    with pytest.raises(BadSubject):
        put_own_subjects(advertiser_id=campaign.advertiser_id, subjects=[{}], actor="test")
    with pytest.raises(ValidationError, match="at most 10,000"):
        put_own_subjects(
            advertiser_id=campaign.advertiser_id, subjects=[{"user_id": "a"}] * (MOST_OWN_SUBJECTS + 1), actor="test"
        )
    with pytest.raises(ValidationError, match="'somewhere' is no network"):
        change(Advertiser, object_id=campaign.advertiser_id, actor="test", changes={"own_networks": ["somewhere"]})
    assert OwnSubject.objects.count() == 1


def test_the_api_keeps_the_lists(tenant: Tenant, api: ApiClient, other_api: ApiClient) -> None:
    made = api.post("ads/advertisers", {"name": "Tents", "currency": "EUR", "own_networks": ["203.0.113.0/24"]}).json()
    assert made["own_networks"] == ["203.0.113.0/24"]
    address = f"ads/advertisers/{made['id']}/own-people"
    people: dict[str, Any] = {"subjects": [{"user_id": "boss", "anonymous_id": "phone"}, {"user_id": "boss"}]}
    assert api.put(address, people).json() == {"subjects": 2}
    assert api.put("ads/own-people", {"subjects": [{"user_id": "clerk"}]}).json() == {"subjects": 1}
    assert (api.get(address).json(), api.get("ads/own-people").json()) == ({"subjects": 2}, {"subjects": 1})

    assert other_api.get(address).status_code == other_api.put(address, people).status_code == 404
    assert api.put(address, {"subjects": [{}]}).status_code == 400
    refused = api.patch(f"ads/advertisers/{made['id']}", {"own_networks": ["203.0.113.0/99"]})
    assert refused.json()["errors"][0]["field"] == "own_networks"
    assert api.get(address).json() == {"subjects": 2}

    assert api.delete(f"ads/advertisers/{made['id']}").status_code == 204
    archived = api.put(address, people)
    assert (archived.status_code, archived.json()["detail"]) == (409, "the advertiser 'Tents' has been archived")
    assert api.get(address).json() == {"subjects": 2}


def test_the_history_says_who_replaced_a_list_and_names_nobody(tenant: Tenant, api: ApiClient) -> None:
    made = api.post("ads/advertisers", {"name": "Tents", "currency": "EUR"}).json()
    for address in ("ads/own-people", f"ads/advertisers/{made['id']}/own-people"):
        api.put(address, {"subjects": [{"user_id": "boss"}, {"user_id": "clerk"}]})
        api.put(address, {"subjects": []})
    for address in ("ads/own-people/changes", f"ads/advertisers/{made['id']}/changes"):
        emptied, named = api.get(address).json()["results"][:2]
        assert emptied["actor"].startswith("API key ")
        assert [emptied["action"], named["action"]] == ["people", "people"]
        assert emptied["differences"] == [{"name": "own_people", "before": 2, "after": 0}]
        assert "boss" not in str(named)
    assert api.get(f"ads/advertisers/{made['id']}").json()["version"] == 3
