"""The API: what is made, refused, remembered; an advertiser's way from campaign to report."""

import csv
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.budgets.models import LedgerEntry
from apps.ads.campaigns.models import AdChange, Advertiser, Campaign, Creative, Flight, Placement
from apps.ads.campaigns.services import review
from apps.ads.settings import change_settings
from apps.ads.tracking.models import Delivery
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import BROWSER, UNIT, make_live_flight, make_placement, see
from tests.conftest import ApiClient, make_client

ADVERTISER = {"name": "Tents Ltd", "currency": "EUR"}
PLACEMENT = {"key": "top", "name": "Top", "width": 300, "height": 250, "currency": "EUR", "floor_micros": 1000}
CREATIVE = {
    "name": "Banner",
    "width": 300,
    "height": 250,
    "text": "Sleep outside",
    "click_url": "https://tents.example/a",
}


def flight(**values: Any) -> dict[str, Any]:
    now = timezone.now()
    return {
        "name": "Autumn",
        "starts_at": (now - timedelta(hours=1)).isoformat(),
        "ends_at": (now + timedelta(days=9)).isoformat(),
        "bid_kind": "cpm",
        "bid_micros": 2 * UNIT,
        "budget_micros": 100 * UNIT,
    } | values


def made(api: ApiClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(f"ads/{path}", body)
    assert answer.status_code == 201, answer.content
    return answer.json()


@pytest.fixture
def campaign(api: ApiClient) -> dict[str, Any]:
    advertiser = made(api, "advertisers", ADVERTISER)
    return made(api, "campaigns", {"name": "Autumn", "advertiser_id": advertiser["id"]})


def test_an_advertisers_way_from_campaign_to_report(tenant: Tenant, api: ApiClient, campaign: dict[str, Any]) -> None:
    made(api, "placements", PLACEMENT)
    flown = made(api, "flights", flight(campaign_id=campaign["id"]))
    assert flown["status"] == "draft"
    creative = made(api, "creatives", CREATIVE | {"flight_id": flown["id"]})
    assert creative["review"] == "pending"

    refused = api.post(f"ads/flights/{flown['id']}/start", None)
    assert refused.status_code == 400
    assert "no creative of the flight is approved" in refused.json()["detail"]
    assert refused.json()["errors"][0]["field"] == "creatives"
    assert api.post(f"ads/flights/{flown['id']}/start?at=noon", None).json()["errors"][0]["field"] == "at"
    with tenant_scope(tenant.id):
        review(creative_id=creative["id"], approve=True, actor="operator")
    assert api.post(f"ads/flights/{flown['id']}/start", None).json()["status"] == "live"

    body = {"placements": ["top"], "user_agent": BROWSER, "include_prices": True}
    (decision,) = api.post("ads/decisions", body).json()["decisions"]
    assert decision["price"] == {"price_micros": 1000, "bid_kind": "cpm", "currency": "EUR"}
    api.post("ads/impressions", {"token": decision["token"], "user_agent": BROWSER})
    (row,) = api.get("ads/reports").json()["rows"]
    assert (row["name"], row["placed"], row["impressions"], row["spend_micros"]) == ("Autumn", 1, 1, 1)

    assert api.post(f"ads/flights/{flown['id']}/pause", None).json()["status"] == "paused"
    changes = api.get(f"ads/flights/{flown['id']}/changes").json()["results"]
    assert [each["action"] for each in changes] == ["paused", "started", "created"]
    assert changes[0]["differences"] == [{"name": "status", "before": "live", "after": "paused"}]
    (account,) = api.get("ads/accounts").json()["results"]
    assert (account["spent_micros"], account["ledger_micros"], account["problems"]) == (1, 1, [])


def test_accounts_come_in_pages_and_each_flight_has_its_own(tenant: Tenant, api: ApiClient) -> None:
    with tenant_scope(tenant.id):
        flights = [make_live_flight(bid_micros=bid * UNIT) for bid in (1, 2, 3)]
        make_placement(auction="first_price")
        for _ in range(3):
            for placed in decide(Ask(("top",), user_agent=BROWSER)):
                see(placed.decision_id)
    first = api.get("ads/accounts?limit=2").json()
    second = api.get(f"ads/accounts?limit=2&cursor={first['next_cursor']}").json()
    found = [*first["results"], *second["results"]]
    assert [each["flight_id"] for each in found] == [str(each.id) for each in reversed(flights)]
    assert [(each["spent_micros"], each["ledger_micros"]) for each in found] == [(9000, 9000), (0, 0), (0, 0)]
    assert [each["problems"] for each in found] == [[], [], []]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"bid_micros": -1}, "bid_micros"),
        ({"bid_micros": 0}, "bid_micros"),
        ({"bid_micros": 10**18}, "bid_micros"),
        ({"bid_micros": 1.5}, "bid_micros"),
        ({"bid_micros": 200 * UNIT, "bid_kind": "cpc"}, "bid_micros"),
        ({"budget_micros": -5}, "budget_micros"),
        ({"daily_budget_micros": 101 * UNIT}, "daily_budget_micros"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"ends_at": "9999-12-31T23:59:59Z"}, "ends_at"),
        ({"starts_at": "0001-01-01T00:00:00Z"}, "starts_at"),
        ({"goal": 5}, "goal"),
        ({"goal": 5, "goal_kind": "clicks", "pacing": "asap"}, "pacing"),
        ({"bid_kind": "cpx"}, "bid_kind"),
        ({"targeting": {"include": {"countries": "DE"}}}, "targeting"),
        ({"targeting": {"include": {"shoe_sizes": ["44"]}}}, "targeting"),
        ({"targeting": {"exclude": {"placements": ["nowhere"]}}}, "targeting"),
        ({"targeting": {"include": {"keywords": [f"w{number}" for number in range(10_000)]}}}, "targeting"),
        ({"targeting": {"hours": [{"days": [7], "from": 0, "to": 5}]}}, "targeting"),
        ({"targeting": {"hours": [{"days": [0], "from": 9, "to": 5}]}}, "targeting"),
        ({"campaign_id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11"}, "campaign_id"),
    ],
)
def test_what_is_absurd_of_a_flight_is_refused_by_its_field(
    values: dict[str, Any], field: str, tenant: Tenant, api: ApiClient, campaign: dict[str, Any]
) -> None:
    answer = api.post("ads/flights", flight(campaign_id=campaign["id"]) | values)

    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    with tenant_scope(tenant.id):
        assert Flight.objects.count() == 0


def test_what_belongs_nowhere_is_refused_by_the_field_that_says_so(
    api: ApiClient, other_tenant: Tenant, campaign: dict[str, Any]
) -> None:
    other = make_client(other_tenant)
    others_advertiser = made(other, "advertisers", {"name": "Boats Ltd", "currency": "EUR"})
    others_campaign = made(other, "campaigns", {"name": "Spring", "advertiser_id": others_advertiser["id"]})
    others_flight = made(other, "flights", flight(campaign_id=others_campaign["id"]))

    for kind, field, body in (
        ("campaigns", "advertiser_id", {"name": "Autumn", "advertiser_id": others_advertiser["id"]}),
        ("flights", "campaign_id", flight(campaign_id=others_campaign["id"])),
        ("creatives", "flight_id", CREATIVE | {"flight_id": others_flight["id"]}),
    ):
        answer = api.post(f"ads/{kind}", body)
        assert answer.status_code == 400
        [error] = answer.json()["errors"]
        assert error["field"] == field
        assert error["message"].endswith(f"{body[field]} that is not archived")


def test_an_archived_advertiser_begins_nothing_new(api: ApiClient, campaign: dict[str, Any]) -> None:
    drafted = made(api, "flights", flight(campaign_id=campaign["id"]))
    assert api.delete(f"ads/advertisers/{campaign['advertiser_id']}").status_code == 204

    for answer in (
        api.post("ads/flights", flight(campaign_id=campaign["id"])),
        api.post(f"ads/flights/{drafted['id']}/start", None),
    ):
        assert answer.status_code == 400
        assert "archived" in answer.json()["detail"]
        assert [each["field"] for each in answer.json()["errors"]] == ["campaign_id"]


@pytest.mark.parametrize(
    "url",
    [
        "http://tents.example/",
        "javascript:alert(1)",
        "//tents.example/",
        "https://user:secret@tents.example/",
        "https://tents.example@evil.example/",
        "https://",
        "https://tents.example/ a",
        "https://tents.example\\@evil.example/",
        "https://tents.example/\r\nSet-Cookie: a=b",
        "https://[::1",
        "https://tents.example:99999/",
        "https://tents.example/" + "a" * 1000,
    ],
)
@pytest.mark.parametrize("field", ["click_url", "image_url"])
def test_bad_addresses_are_refused_by_their_field(
    url: str, field: str, api: ApiClient, campaign: dict[str, Any]
) -> None:
    flown = made(api, "flights", flight(campaign_id=campaign["id"]))
    answer = api.post("ads/creatives", CREATIVE | {"flight_id": flown["id"], field: url})
    assert answer.status_code == 400
    assert {each["field"] for each in answer.json()["errors"]} == {field}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"keywords": [f"w{number}" for number in range(10_000)]}, "keywords"),
        ({"placements": []}, "placements"),
        ({"placements": ["top"] * 21}, "placements"),
        ({"placements": ["nowhere"]}, "placements"),
        ({"subject": {}}, "subject"),
        ({"subject": {"name": "x"}}, "subject.name"),
        ({"consent": {"everything": True}}, "consent.everything"),
        ({"context": {"attributes": {f"a{number}": "x" for number in range(21)}}}, "context.attributes"),
        ({"context": {"country": "x" * 101}}, "context.country"),
        ({"context": {"attributes": {"plan\0": "gold"}}, "consent": {"personalisation": True}}, "context.attributes"),
        ({"context": {"attributes": {"\ud800": "gold"}}, "consent": {"personalisation": True}}, "context.attributes"),
    ],
)
def test_what_no_decision_can_use_is_refused_by_its_field(values: dict[str, Any], field: str, api: ApiClient) -> None:
    made(api, "placements", PLACEMENT)
    answer = api.post("ads/decisions", {"placements": ["top"]} | values)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == field


def test_a_creative_that_changes_awaits_a_new_review(tenant: Tenant, api: ApiClient, campaign: dict[str, Any]) -> None:
    flown = made(api, "flights", flight(campaign_id=campaign["id"]))
    creative = made(api, "creatives", CREATIVE | {"flight_id": flown["id"]})
    with tenant_scope(tenant.id):
        review(creative_id=creative["id"], approve=True, actor="operator")
    path = f"ads/creatives/{creative['id']}"
    assert api.patch(path, {"name": "Other name"}).json()["review"] == "approved"
    assert api.patch(path, {"click_url": "https://elsewhere.example/"}).json()["review"] == "pending"
    assert api.patch(path, {"review": "approved"}).status_code == 400


def test_a_change_of_what_has_changed_since_is_refused(api: ApiClient, campaign: dict[str, Any]) -> None:
    seen = made(api, "flights", flight(campaign_id=campaign["id"]))
    path = f"ads/flights/{seen['id']}"
    assert api.patch(path, {"budget_micros": 50 * UNIT, "version": seen["version"]}).json()["version"] == 2

    stale = api.patch(path, {"budget_micros": 100 * UNIT, "version": seen["version"]})
    assert stale.status_code == 409
    assert "it is at version 2, not 1" in stale.json()["detail"]
    assert api.get(path).json()["budget_micros"] == 50 * UNIT
    assert api.patch(path, {"name": "Winter"}).json()["name"] == "Winter"  # whoever names no version changes any
    assert api.post("ads/flights", flight(campaign_id=campaign["id"], version=1)).status_code == 400


def test_what_is_archived_stays_with_its_history(api: ApiClient, campaign: dict[str, Any]) -> None:
    path = f"ads/campaigns/{campaign['id']}"
    assert api.delete(path).status_code == 204
    assert api.get(path).json()["is_archived"]
    assert api.get("ads/campaigns").json()["results"] == []
    assert api.patch(path, {"name": "Again"}).status_code == 409
    assert [each["action"] for each in api.get(f"{path}/changes").json()["results"]] == ["archived", "created"]


@pytest.mark.parametrize("parent", ["campaigns", "advertisers"])
def test_what_is_archived_pauses_its_live_flights(
    parent: str, tenant: Tenant, api: ApiClient, campaign: dict[str, Any]
) -> None:
    with tenant_scope(tenant.id):
        of_it = make_live_flight(Campaign.objects.get())
        other = make_live_flight()
    gone = campaign["id"] if parent == "campaigns" else campaign["advertiser_id"]
    assert api.delete(f"ads/{parent}/{gone}").status_code == 204
    assert api.get(f"ads/flights/{of_it.id}").json()["status"] == "paused"
    assert api.get(f"ads/flights/{other.id}").json()["status"] == "live"
    newest = api.get(f"ads/flights/{of_it.id}/changes").json()["results"][0]
    assert newest["differences"] == [{"name": "status", "before": "live", "after": "paused"}]


def test_keys_of_placements_are_theirs_for_ever(api: ApiClient) -> None:
    placement = made(api, "placements", PLACEMENT)
    api.delete(f"ads/placements/{placement['id']}")
    for key in ("top", "Top"):  # targeting could not tell them apart
        answer = api.post("ads/placements", PLACEMENT | {"key": key})
        assert answer.json()["errors"][0]["field"] == "key"


def test_scopes_and_tenants_are_kept_apart(
    tenant: Tenant, api: ApiClient, other_api: ApiClient, client_with_scopes: Any, campaign: dict[str, Any]
) -> None:
    reader = client_with_scopes("ads:read")
    assert reader.post("ads/advertisers", ADVERTISER).status_code == 403
    assert reader.post("ads/decisions", {"placements": ["top"]}).status_code == 403
    assert other_api.get(f"ads/campaigns/{campaign['id']}").status_code == 404
    assert other_api.patch(f"ads/campaigns/{campaign['id']}", {"name": "Mine"}).status_code == 404
    body = flight(campaign_id=campaign["id"])
    assert other_api.post("ads/flights", body).json()["errors"][0]["field"] == "campaign_id"
    with tenant_scope(tenant.id):
        assert (Advertiser.objects.count(), Campaign.objects.get().name) == (1, "Autumn")


def test_reports_of_one_refuse_a_parameter_that_they_do_not_know(api: ApiClient, campaign: dict[str, Any]) -> None:
    flown = made(api, "flights", flight(campaign_id=campaign["id"]))
    paths = f"flights/{flown['id']}/progress", f"flights/{flown['id']}/forecast", f"experiments/{flown['id']}/report"
    for path in paths:
        answer = api.get(f"ads/{path}?since=2026-11-24")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "since")


def test_settings_are_read_and_changed(api: ApiClient) -> None:
    assert api.get("ads/settings").json()["timezone"] == "UTC"
    assert api.patch("ads/settings", {"timezone": "Europe/Berlin"}).json()["timezone"] == "Europe/Berlin"
    assert api.get("ads/settings").json()["timezone"] == "Europe/Berlin"
    refused = (
        {"timezone": "Mars/North"},
        {"click_minutes": 0},
        {"own_addresses": ["home"]},
        {"clicks": 5},
        {"policy": "x"},
    )
    for each in refused:
        answer = api.patch("ads/settings", each)
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [*each])
    assert api.get("ads/settings").json()["click_minutes"] == 240


def test_history_is_append_only(tenant: Tenant, api: ApiClient, campaign: dict[str, Any]) -> None:
    with tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege(current_user, 'ads_adchange', 'UPDATE, DELETE')")
        assert cursor.fetchone() == (False,)
        assert AdChange.objects.count() == 2
        assert Creative.objects.count() == Placement.objects.count() == LedgerEntry.objects.count() == 0
        assert Delivery.objects.count() == 0


def test_a_report_is_saved_as_csv_and_never_as_a_formula(tenant: Tenant, api: ApiClient) -> None:
    answer = api.get("ads/reports.csv?by=creative")
    assert answer["Content-Type"].startswith("text/csv")
    assert next(csv.reader(answer.content.decode().splitlines()))[:3] == ["key", "name", "currency"]
    assert api.get("ads/reports?by=moon").status_code == 400
    assert api.get("ads/reports?since=2030-01-02T00:00:00Z&until=2030-01-01T00:00:00Z").status_code == 400


def test_days_of_a_report_are_those_of_the_ads_and_the_last_is_included(tenant: Tenant, api: ApiClient) -> None:
    with tenant_scope(tenant.id):
        change_settings({"timezone": "Asia/Tokyo"}, actor="test")
        make_live_flight()
        make_placement()
        decide(Ask(("top",), user_agent=BROWSER))
        Delivery.objects.update(placed_at="2026-03-24T14:30:00Z")  # half past eleven at night in Tokyo

    def days(since: str, until: str) -> list[tuple[str, int]]:
        rows = api.get(f"ads/reports?by=day&since={since}&until={until}").json()["rows"]
        return [(row["key"], row["placed"]) for row in rows]

    assert days("2026-03-24", "2026-03-24") == [("2026-03-24", 1)]
    assert days("2026-03-25", "2026-03-25") == days("2026-03-23", "2026-03-23") == []
    assert days("2026-03-24T14:00:00Z", "2026-03-24T14:30:00Z") == []  # the moment is not included
    for bad in ("2026-02-30", "9999-12-31", "24.3.2026"):
        assert api.get(f"ads/reports?until={bad}").json()["errors"][0]["field"] == "until"


def test_whoever_names_no_choice_is_told_which_there_are(api: ApiClient, campaign: dict[str, Any]) -> None:
    answer = api.post("ads/flights", flight(campaign_id=campaign["id"], bid_kind="cpx"))
    assert answer.status_code == 400
    assert '"cpx" is none of cpm, cpc, cpa' in str(answer.json())
