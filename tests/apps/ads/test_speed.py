"""What keeps a decision cheap: few statements, plans that are kept, and one reader of the live flights."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.index import bits_of, positions
from apps.ads.auctions.services import decide
from apps.ads.auctions.snapshot import FRESH_SECONDS, Snapshot, current_snapshot
from apps.ads.budgets.models import FlightBudget
from apps.ads.campaigns.models import Flight
from apps.ads.campaigns.services import change
from apps.ads.models import Delivery
from behavior.subjects import read_subject
from decisions.models import Decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import BROWSER, UNIT, make_campaign, make_live_flight, make_placement, see
from tests.queries import CapturedQueries
from tests.waiting import until

KEYS = ("a", "b", "c")


@pytest.fixture
def page(scope: Tenant) -> list[str]:
    """Three places of a page, and four flights by falling bid; the keys of the places."""
    for key in KEYS:
        make_placement(key, auction="first_price")
    campaign = make_campaign()
    for number in range(4):
        make_live_flight(campaign, name=f"Flight {number}", bid_micros=(9 - number) * UNIT, cap_impressions=100)
    return list(KEYS)


def ask(placements: Sequence[str]) -> Ask:
    return Ask(placements, read_subject({"user_id": "u1"}), user_agent=BROWSER, has_consent=True)


def flights_of(placements: Sequence[str]) -> list[str | None]:
    return [each.lead and each.lead.ad.flight_name for each in decide(ask(placements))]


def test_a_page_takes_as_many_statements_as_one_place(page: list[str]) -> None:
    decide(ask(page))

    counts = []
    for placements in (page[:1], page):
        with CapturedQueries() as queries:
            decide(ask(placements))
        counts.append(len(queries))

    # What was placed before the subject, and one for all that is reserved and stored.
    assert counts == [2, 2]


def test_plans_of_decisions_are_kept(page: list[str]) -> None:
    for _ in range(12):
        decide(ask(page[:1]))
        decide(ask(page))

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%%ads_flightbudget%%'"
            " AND statement LIKE '%%ads_delivery%%'"
        )
        plans = cursor.fetchall()
    # The server tries five times with the values of the moment before it decides.
    assert all(custom <= 5 for _, custom in plans)
    assert sum(generic > 0 for generic, _ in plans) >= 2


def test_what_a_page_could_reserve_is_kept_where_one_budget_refuses(page: list[str]) -> None:
    FlightBudget.objects.filter(flight_id=current_snapshot().ads[1].flight_id).update(budget_micros=0)

    assert flights_of(page) == ["Flight 0", "Flight 3", "Flight 2"]

    assert Decision.objects.count() == Delivery.objects.count() == 3
    reserved = dict(FlightBudget.objects.values_list("flight_id", "reserved_micros"))
    assert sorted(reserved.values()) == [0, 6_000, 7_000, 9_000]
    for delivery in Delivery.objects.all():
        assert delivery.reserved_micros == reserved[delivery.flight_id]
        assert delivery.day == timezone.now().date()


def test_the_time_that_a_decision_took_is_kept_with_it(page: list[str]) -> None:
    decide(ask(page))

    assert all(0 < each.latency_ms < 60_000 for each in Decision.objects.all())


def durability() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        (kept,) = cursor.fetchone()
    return str(kept)


def test_promises_do_not_wait_for_the_disk_and_bills_do(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        make_live_flight()
        (placed,) = decide(ask(["top"]))
        assert durability() == "off"

    with tenant_scope(tenant.id):
        assert see(placed.decision_id).billed_micros > 0
        assert durability() == "on"


def test_a_bot_leaves_decisions_that_do_not_wait_either(page: list[str]) -> None:
    decide(Ask(page, user_agent="curl/8.0"))

    assert durability() == "off"


def snapshot_of(tenant: Tenant) -> Snapshot:
    try:
        with tenant_scope(tenant.id):
            return current_snapshot()
    finally:
        connection.close()


def wait_until_somebody_waits(owner: psycopg.Connection) -> None:
    waiting = "SELECT FROM pg_locks WHERE relation = 'ads_flight'::regclass AND NOT granted"
    until(lambda: owner.execute(waiting).fetchone(), every=0.02)


def test_one_thread_reads_flights_anew_while_the_others_go_on(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        flight = make_live_flight(bid_micros=UNIT)
        known = current_snapshot()
        change(Flight, object_id=flight.id, actor="test", changes={"bid_micros": 2 * UNIT})
    time.sleep(FRESH_SECONDS)

    with psycopg.connect(settings.DATABASE_URLS["owner"]) as owner, ThreadPoolExecutor(1) as threads:
        owner.execute("LOCK TABLE ads_flight")
        reading = threads.submit(snapshot_of, tenant)
        wait_until_somebody_waits(owner)
        assert snapshot_of(tenant) is known
        owner.commit()
        fresh = reading.result(timeout=20)

    assert fresh.ads[0].bid_micros == 2 * UNIT
    assert snapshot_of(tenant) is fresh


@given(st.sets(st.integers(0, 300)))
def test_bits_of_positions_are_the_positions_of_the_bits(found: set[int]) -> None:
    bits = bits_of(np.array(sorted(found), dtype=np.int64))

    assert bits == sum(1 << position for position in found)
    assert positions(bits, 301).tolist() == sorted(found)
