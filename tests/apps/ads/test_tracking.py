"""Tokens, traffic, reservations."""

import base64
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from api import throttling
from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.budgets.selectors import flight_accounts
from apps.ads.settings import change_settings
from apps.ads.tracking.models import Delivery, EventKind, FilteredEvent
from apps.ads.tracking.services import Outcome, Visitor, record, return_expired
from apps.ads.tracking.tokens import BadToken, make_token, read_token
from apps.ads.tracking.traffic import device_of, is_bot
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import (
    BROWSER,
    READER,
    UNIT,
    budget,
    click,
    filtered,
    later,
    make_live_flight,
    make_placement,
    place,
    place_for,
    see,
    token_of,
)
from tests.conftest import ApiClient

HEADERS = {"User-Agent": BROWSER}


# Tokens --------------------------------------------------------------------------------------------------------------
def test_a_token_comes_back_as_it_went_out(scope: Tenant) -> None:
    delivery, ends = uuid4(), timezone.now().replace(microsecond=0) + timedelta(minutes=5)
    token = read_token(make_token(delivery, tenant_id=scope.id, expires_at=ends), tenant_id=scope.id)
    assert (token.delivery_id, token.expires_at, token.is_expired) == (delivery, ends, False)


def test_a_token_with_something_after_it_is_none(scope: Tenant) -> None:
    raw = make_token(uuid4(), tenant_id=scope.id, expires_at=timezone.now())
    with pytest.raises(BadToken):
        read_token(f"{raw}\n", tenant_id=scope.id)


def test_every_changed_character_is_noticed(scope: Tenant) -> None:
    raw = make_token(uuid4(), tenant_id=scope.id, expires_at=timezone.now())
    for place_ in range(len(raw)):
        changed = raw[:place_] + ("A" if raw[place_] != "A" else "B") + raw[place_ + 1 :]
        # The last character of base64 carries bits that no byte holds.
        with pytest.raises(BadToken):
            read_token(changed, tenant_id=scope.id)


def test_a_token_of_another_business_is_none_here(other_tenant: Tenant, tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        raw = make_token(uuid4(), tenant_id=tenant.id, expires_at=timezone.now())
    forged = raw.replace(f"ad_{tenant.id:x}x", f"ad_{other_tenant.id:x}x")
    for token in (raw, forged):
        with tenant_scope(other_tenant.id), pytest.raises(BadToken):
            read_token(token, tenant_id=other_tenant.id)


@pytest.fixture
def shown(tenant: Tenant, api: ApiClient) -> dict[str, Any]:
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        make_live_flight(bid_micros=UNIT, budget_micros=50 * UNIT)
    answer = api.post("ads/decisions", {"placements": ["top"], "user_agent": BROWSER, "include_prices": True})
    assert answer.status_code == 200, answer.content
    return answer.json()["decisions"][0]


def path_of(url: str) -> str:
    return "/api/v1" + url.partition("/api/v1")[2]


def test_a_browser_reports_with_the_addresses_of_the_answer(tenant: Tenant, shown: dict[str, Any]) -> None:
    browser = Client()
    seen = browser.get(path_of(shown["impression_url"]), headers=HEADERS)
    assert (seen.status_code, seen["Content-Type"]) == (200, "image/gif")
    assert "no-store" in seen["Cache-Control"]
    browser.get(path_of(shown["viewable_url"]), headers=HEADERS)
    with tenant_scope(tenant.id):
        later(seconds=5)
    clicked = browser.get(path_of(shown["click_url"]), headers=HEADERS)
    assert (clicked.status_code, clicked["Location"]) == (302, "https://tents.example/autumn")
    with tenant_scope(tenant.id):
        delivery = Delivery.objects.get()
        assert delivery.impression_at
        assert delivery.viewable_at
        assert delivery.clicked_at
        assert (budget().spent_micros, budget().reserved_micros) == (1000, 0)


def test_a_replayed_click_still_redirects_and_only_to_the_stored_address(shown: dict[str, Any]) -> None:
    browser = Client()
    browser.get(path_of(shown["impression_url"]), headers=HEADERS)
    for query in ("", "?url=https://evil.example/", "?next=//evil.example"):
        answer = browser.get(path_of(shown["click_url"]) + query, headers=HEADERS)
        assert (answer.status_code, answer["Location"]) == (302, "https://tents.example/autumn")


def test_a_changed_token_is_refused_and_bills_nothing(tenant: Tenant, shown: dict[str, Any]) -> None:
    raw = shown["token"]
    payload = raw.split("x", 1)[1].split("_")[0]
    other = base64.urlsafe_b64encode(uuid4().bytes + b"\xff\xff\xff\xff").decode().rstrip("=")
    for bad in (raw.replace(payload, other), raw[:-1] + ("A" if raw[-1] != "A" else "B"), "nonsense", raw + "x"):
        for kind in ("clicks", "impressions", "views"):
            answer = Client().get(f"/api/v1/ads/{kind}/{bad}", headers=HEADERS)
            assert answer.status_code == 404
            assert "Location" not in answer
    with tenant_scope(tenant.id):
        assert budget().spent_micros == 0
        assert Delivery.objects.get().impression_at is None


def test_an_expired_token_bills_nothing(tenant: Tenant, shown: dict[str, Any]) -> None:
    with tenant_scope(tenant.id):
        later(hours=1)
    Client().get(path_of(shown["impression_url"]), headers=HEADERS)
    with tenant_scope(tenant.id):
        assert (budget().spent_micros, filtered()) == (0, {"expired": 1})


def test_a_server_reports_with_its_key_and_another_business_cannot(
    api: ApiClient, other_api: ApiClient, shown: dict[str, Any]
) -> None:
    body = {"token": shown["token"], "user_agent": BROWSER}
    assert other_api.post("ads/impressions", body).status_code == 404
    assert api.post("ads/impressions", body).json() == {"counted": True, "filtered": None, "billed_micros": 1000}
    again = api.post("ads/impressions", body).json()
    assert again == {"counted": False, "filtered": "replayed", "billed_micros": 0}


def test_one_address_cannot_ask_without_end(
    tenant: Tenant, shown: dict[str, Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttling, "MINUTE", 10_000_000)
    settings.AD_EVENTS_PER_MINUTE = 3
    browser = Client(REMOTE_ADDR=f"2001:db8:{tenant.id:x}::1")
    pixel = path_of(shown["impression_url"])
    found = [browser.get(pixel, headers=HEADERS).status_code for _ in range(5)]
    assert found == [200] * 3 + [429] * 2
    neighbour = Client(REMOTE_ADDR=f"2001:db8:{tenant.id:x}::2")
    assert neighbour.get(pixel, headers=HEADERS).status_code == 429
    elsewhere = Client(REMOTE_ADDR=f"2001:db8:{tenant.id:x}:1::1")
    assert elsewhere.get(pixel, headers=HEADERS).status_code == 200


# Traffic -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("visitor", "reason"),
    [
        (Visitor("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", ""), "bot"),
        (Visitor("curl/8.5.0", ""), "bot"),
        (Visitor("Mozilla/5.0 HeadlessChrome/120.0", ""), "bot"),
        (Visitor("", "198.51.100.7"), "no_user_agent"),
        (Visitor(BROWSER, "203.0.113.9"), "self_click"),
    ],
)
def test_what_no_reader_does_is_not_billed(visitor: Visitor, reason: str, scope: Tenant) -> None:
    change_settings({"own_addresses": ["203.0.113.0/24"]}, actor="test")
    delivery = place_for("cpm")

    assert see(delivery, visitor).filtered == reason
    assert budget().spent_micros == 0
    assert see(delivery).filtered is None  # a reader who comes after counts
    assert budget().spent_micros == 1000


def test_clicks_that_are_too_fast_unseen_or_double_are_not_billed(scope: Tenant) -> None:
    delivery = place_for("cpc")
    assert click(delivery).filtered == "not_seen"
    see(delivery)
    assert click(delivery).filtered == "too_fast"
    later(seconds=2)
    assert click(delivery).billed_micros == UNIT
    assert click(delivery).filtered == "replayed"
    assert filtered() == {"not_seen": 1, "too_fast": 1, "replayed": 1}
    assert budget().spent_micros == UNIT


def test_more_clicks_than_a_reader_makes_are_not_billed(scope: Tenant) -> None:
    change_settings({"most_clicks_an_hour": 2}, actor="test")
    first = place_for("cpc")
    placed = [first, place(), place()]
    for delivery in placed:
        see(delivery)
    later(seconds=2)
    assert [click(delivery).filtered for delivery in placed] == [None, None, "too_many"]
    assert budget().spent_micros == 2 * UNIT


def test_a_replay_is_counted_and_stored_once(scope: Tenant) -> None:
    delivery = place_for("cpm")
    for _ in range(5):
        see(delivery)
    assert filtered() == {"replayed": 4}
    assert FilteredEvent.objects.count() == 1


def test_viewability_needs_an_impression(scope: Tenant) -> None:
    delivery = place_for("cpm")
    assert record(token_of(delivery), EventKind.VIEWABLE, READER).filtered == "not_seen"
    see(delivery)
    assert record(token_of(delivery), EventKind.VIEWABLE, READER).filtered is None


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (BROWSER, "desktop"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148", "mobile"),
        ("Mozilla/5.0 (Linux; Android 15; Pixel 9) Mobile Safari/537.36", "mobile"),
        ("Mozilla/5.0 (Linux; Android 15; SM-X910) Safari/537.36", "tablet"),
        ("Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X)", "tablet"),
    ],
)
def test_devices_are_told_by_their_browsers(user_agent: str, device: str) -> None:
    assert device_of(user_agent) == device
    assert not is_bot(user_agent)


# Reservations --------------------------------------------------------------------------------------------------------
def test_what_nobody_saw_goes_back_into_the_budget(scope: Tenant) -> None:
    place_for("cpc")
    # The price, times the half a percent of clicks that are expected before any was counted.
    assert budget().reserved_micros == UNIT // 200
    assert return_expired() == 0
    later(hours=1)
    assert return_expired() == 1
    assert (budget().reserved_micros, budget().day_reserved_micros) == (0, 0)
    assert return_expired() == 0


def test_what_was_seen_stays_reserved_until_no_click_can_come(scope: Tenant) -> None:
    delivery = place_for("cpc")
    see(delivery)
    later(hours=3)
    assert return_expired() == 0
    later(hours=2)
    assert return_expired() == 1
    assert click(delivery).filtered == "expired"
    assert (budget().spent_micros, budget().reserved_micros) == (0, 0)


@pytest.mark.parametrize(("kind", "returned"), [("cpc", 1), ("cpa", 0)])
def test_only_what_a_view_can_lead_to_stays_reserved_for_its_window(kind: str, returned: int, scope: Tenant) -> None:
    see(place_for(kind, post_view_hours=168))
    later(hours=5)
    assert return_expired() == returned


def test_a_click_that_the_budget_cannot_pay_counts_and_is_not_billed(scope: Tenant) -> None:
    make_placement(auction="first_price")
    make_live_flight(bid_kind="cpc", bid_micros=UNIT, budget_micros=UNIT)
    first, second = place("u1"), place("u2")
    for delivery in (first, second):
        see(delivery)
    later(seconds=5)

    assert click(first) == Outcome("https://tents.example/autumn", None, UNIT)
    late = click(second)

    assert (late.filtered, late.is_counted, late.billed_micros) == ("unpaid", True, 0)
    assert click(second).filtered == "replayed"
    assert FilteredEvent.objects.get(reason="unpaid").delivery_id == second
    unpaid = Delivery.objects.get(delivery_id=second)
    assert (unpaid.status, unpaid.clicked_at is not None) == ("returned", True)
    assert (budget().spent_micros, budget().reserved_micros, budget().billed_events) == (UNIT, 0, 1)
    assert [account.problems for account in flight_accounts()] == [[]]
    assert return_expired(timezone.now() + timedelta(days=40)) == 0


def test_a_flight_that_pays_for_clicks_spends_its_daily_budget_at_half_a_percent(scope: Tenant) -> None:
    make_placement(auction="first_price")
    flight = make_live_flight(bid_kind="cpc", bid_micros=UNIT, budget_micros=100 * UNIT, daily_budget_micros=3 * UNIT)
    shown = 0
    # A reader in two hundred clicks; hours pass in between, and what was reserved for the others comes back.
    for _ in range(3):
        placed = [place(f"u{shown + number}") for number in range(200)]
        shown += len(placed)
        see(placed[0])
        later(seconds=5)
        assert click(placed[0]).billed_micros == UNIT
        later(hours=5)
        assert return_expired() == len(placed) - 1

    (nobody,) = decide(Ask(("top",), user_agent=BROWSER))
    assert nobody.no_fill is not None
    assert nobody.no_fill.reason == "budget"
    assert (budget().day_spent_micros, budget().reserved_micros) == (3 * UNIT, 0)
    assert shown == 600
    assert [account.problems for account in flight_accounts([flight.id])] == [[]]
