"""Sixty-four deciders, replayed tokens, a process that is killed: no budget and no cap is ever exceeded."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.budgets.models import FlightBudget, LedgerEntry
from apps.ads.budgets.selectors import flight_accounts
from apps.ads.campaigns.models import Flight
from apps.ads.pacing.models import FlightPacing
from apps.ads.pacing.services import add_up_goals, pace_flights
from apps.ads.tracking.conversions import bill_conversions
from apps.ads.tracking.models import Delivery, FilteredEvent
from apps.ads.tracking.services import return_expired
from behavior.subjects import read_subject
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import (
    BROWSER,
    UNIT,
    click,
    make_campaign,
    make_creative,
    make_live_flight,
    make_placement,
    see,
)
from tests.processes import ROOT
from tests.waiting import until

DECIDERS = 64


def at_once(work: Callable[[int], Any], count: int) -> list[Any]:
    """Run `work` in as many threads at a time, each with a connection of its own."""

    def run(number: int) -> Any:
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(DECIDERS) as pool:
        return list(pool.map(run, range(count)))


def decide_as(tenant: Tenant, user: str, *placements: str) -> list[UUID]:
    with tenant_scope(tenant.id):
        asked = Ask(placements or ("top",), read_subject({"user_id": user}), user_agent=BROWSER, has_consent=True)
        return [each.decision_id for each in decide(asked) if each.lead]


def assert_accounts_agree(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        for account in flight_accounts():
            assert account.problems == []
            assert account.spent_micros + account.reserved_micros <= account.budget_micros


def test_deciders_at_once_sell_exactly_what_the_budget_buys(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        campaign = make_campaign()
        # 50 impressions at 2 a thousand, to the micro-unit; another flight behind it never runs dry.
        scarce = make_live_flight(campaign, bid_micros=2 * UNIT, budget_micros=100_000)
        make_live_flight(campaign, bid_micros=1 * UNIT)

    placed = [each for found in at_once(lambda n: decide_as(tenant, f"u{n}"), 192) for each in found]
    assert len(placed) == 192

    def see_twice(number: int) -> None:
        # Every token is used twice, by two threads.
        with tenant_scope(tenant.id):
            see(placed[number % len(placed)])

    at_once(see_twice, 2 * len(placed))

    with tenant_scope(tenant.id):
        budget = FlightBudget.objects.get(flight_id=scarce.id)
        assert (budget.spent_micros, budget.reserved_micros, budget.billed_events) == (100_000, 0, 50)
        assert LedgerEntry.objects.count() == 192
        assert sum(FilteredEvent.objects.filter(reason="replayed").values_list("count", flat=True)) == 192
    assert_accounts_agree(tenant)


def test_pages_with_several_placements_do_not_lock_each_other_out(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        for key in ("a", "b", "c"):
            make_placement(key, auction="first_price")
        campaign = make_campaign()
        for number in range(6):
            make_live_flight(campaign, bid_micros=UNIT + number, budget_micros=20 * (number + 1) * 1001)

    found = at_once(lambda n: decide_as(tenant, f"u{n}", *(("a", "b", "c"), ("c", "a", "b"))[n % 2]), 128)

    with tenant_scope(tenant.id):
        assert Delivery.objects.count() == sum(map(len, found))
    assert_accounts_agree(tenant)


def test_flights_that_run_out_at_once_lock_no_page_out(tenant: Tenant) -> None:
    """Two pages wait for the flight that leads there, are refused, and go on to each other's, which cost less there."""
    with tenant_scope(tenant.id):
        campaign = make_campaign()
        for key, width in (("a", 300), ("b", 320)):
            make_placement(key, width=width, floor_micros=1000)
        for wide, narrow in ((1.0, 2.0), (2.0, 1.0)):
            flight = make_live_flight(campaign, {"quality": narrow})
            make_creative(flight, width=320, quality=wide)
    with ThreadPoolExecutor(1) as pool:
        with tenant_scope(tenant.id):
            FlightBudget.objects.update(spent_micros=F("budget_micros") - 500)
            pages = pool.submit(at_once, lambda n: decide_as(tenant, "u1", "ab"[n]), 2)
            until(lambda: waiting() == 2, seconds=60)
        assert len(pages.result()) == 2


def test_goals_are_added_up_in_the_order_of_the_steps_of_controllers(tenant: Tenant) -> None:
    """Who holds the first row gets the second one too, while goals wait for the first."""
    with tenant_scope(tenant.id):
        campaign = make_campaign()
        first, second = sorted(
            make_live_flight(campaign, pacing="pid", goal_kind="clicks", goal=10).id for _ in range(2)
        )
        pace_flights()
        # The tables have them the other way round, and are read as those of another size may be.
        Flight.objects.filter(id=first).update(name="First")
        FlightPacing.objects.filter(flight_id=first).update(dual=0.0)

    def add_up(_: int) -> None:
        with tenant_scope(tenant.id), connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
            add_up_goals()

    with ThreadPoolExecutor(1) as pool:
        with tenant_scope(tenant.id):
            FlightPacing.objects.filter(flight_id=first).update(bid_factor=0.5)
            adding = pool.submit(at_once, add_up, 1)
            until(lambda: waiting() == 1, seconds=60)
            FlightPacing.objects.filter(flight_id=second).update(bid_factor=0.5)
        adding.result()
    with tenant_scope(tenant.id):
        assert FlightPacing.objects.filter(bid_factor=0.5, counted_to__isnull=False).count() == 2


def waiting() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


def test_a_cap_holds_while_one_subject_asks_many_times_at_once(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        make_placement()
        make_live_flight(cap_impressions=3)

    found = at_once(lambda n: decide_as(tenant, "u1"), DECIDERS)

    assert sum(map(len, found)) == 3


def test_a_click_at_once_by_many_is_billed_once(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        make_live_flight(bid_kind="cpc", bid_micros=UNIT, budget_micros=10 * UNIT)
    (delivery,) = decide_as(tenant, "u1")
    with tenant_scope(tenant.id):
        see(delivery)
    time.sleep(0.6)

    def once(_: int) -> int:
        with tenant_scope(tenant.id):
            return click(delivery).billed_micros

    assert sorted(at_once(once, DECIDERS)) == [0] * (DECIDERS - 1) + [UNIT]
    assert_accounts_agree(tenant)


def test_clicks_at_once_on_the_last_money_are_billed_as_far_as_it_goes(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        make_live_flight(bid_kind="cpc", bid_micros=UNIT, budget_micros=10 * UNIT, daily_budget_micros=3 * UNIT)
    placed = [each for number in range(DECIDERS) for each in decide_as(tenant, f"u{number}")]
    with tenant_scope(tenant.id):
        for delivery in placed:
            see(delivery)
        Delivery.objects.update(impression_at=timezone.now() - timedelta(seconds=5))

    def click_twice(number: int) -> int:
        with tenant_scope(tenant.id):
            return click(placed[number // 2]).billed_micros

    billed = at_once(click_twice, 2 * len(placed))
    with tenant_scope(tenant.id):
        budget = FlightBudget.objects.get()
        assert (budget.spent_micros, budget.day_spent_micros) == (3 * UNIT, 3 * UNIT)
        assert sum(billed) == 3 * UNIT
        assert (budget.billed_events, LedgerEntry.objects.count()) == (3, 3)
        assert Delivery.objects.filter(status="returned", clicked_at__isnull=False).count() == DECIDERS - 3
        assert FilteredEvent.objects.filter(reason="unpaid").count() == DECIDERS - 3
        assert budget.reserved_micros == 0
    assert_accounts_agree(tenant)


def test_what_an_ad_holds_is_released_once_whether_its_click_or_its_end_comes_first(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        make_live_flight(bid_kind="cpc", bid_micros=UNIT, budget_micros=20 * UNIT)
    placed = [each for number in range(DECIDERS) for each in decide_as(tenant, f"u{number}")]
    with tenant_scope(tenant.id):
        for delivery in placed:
            see(delivery)
        Delivery.objects.update(impression_at=timezone.now() - timedelta(seconds=5))

    def click_or_return(number: int) -> int:
        with tenant_scope(tenant.id):
            if number % 16 == 15:
                return return_expired(timezone.now() + timedelta(days=1)) * 0
            return click(placed[number]).billed_micros

    billed = sum(at_once(click_or_return, len(placed)))
    with tenant_scope(tenant.id):
        return_expired(timezone.now() + timedelta(days=40))
        budget = FlightBudget.objects.get()
        assert (budget.spent_micros, budget.reserved_micros, budget.day_reserved_micros) == (billed, 0, 0)
        assert billed <= 20 * UNIT
    assert_accounts_agree(tenant)


def test_conversions_are_billed_while_pages_hold_several_budgets(tenant: Tenant) -> None:
    pages = ("a", "b", "c")
    with tenant_scope(tenant.id):
        for key in pages:
            make_placement(key, auction="first_price")
        campaign = make_campaign()
        for _ in pages:
            make_live_flight(campaign, bid_kind="cpa", bid_micros=UNIT, budget_micros=1000 * UNIT)
    bought = [each for number in range(60) for each in decide_as(tenant, f"buyer{number}", *pages)]
    with tenant_scope(tenant.id):
        Delivery.objects.update(converted_at=timezone.now())

    def work(number: int) -> int:
        if number % 4:
            return len(decide_as(tenant, f"u{number}", *pages))
        with tenant_scope(tenant.id):
            bill_conversions(limit=7)
            return 0

    assert sum(at_once(work, 128)) == 96 * len(pages)
    with tenant_scope(tenant.id):
        while bill_conversions():
            pass
        assert LedgerEntry.objects.count() == len(bought) == 180
    assert_accounts_agree(tenant)


SERVE = """
import sys
sys.path[:0] = [".", "platform"]
import django
django.setup()
from tenancy.scope import tenant_scope
from tests.apps.ads.world import see
from tests.apps.ads.test_concurrency import decide_as
from tenancy.models import Tenant
tenant = Tenant(id=int(sys.argv[1]))
print("serving", flush=True)
for number in range(100_000):
    for each in decide_as(tenant, f"{sys.argv[2]}-{number}"):
        with tenant_scope(tenant.id):
            see(each)
"""


@pytest.mark.slow
def test_killed_processes_leave_accounts_that_agree(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        flight = make_live_flight(bid_micros=2 * UNIT, budget_micros=100 * UNIT)
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    for round_ in range(3):
        servers = [
            subprocess.Popen(
                [sys.executable, "-c", SERVE, str(tenant.id), f"{round_}-{number}"],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            for number in range(3)
        ]
        for server in servers:
            assert server.stdout is not None
            assert server.stdout.readline() == b"serving\n"
        time.sleep(0.7)
        for server in servers:
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
        assert_accounts_agree(tenant)

    with tenant_scope(tenant.id):
        budget = FlightBudget.objects.get(flight_id=flight.id)
        assert budget.billed_events > 10
        # What was placed and never seen comes back.
        Delivery.objects.filter(status="open").update(expires_at="2020-01-01T00:00:00Z")
        return_expired()
        budget.refresh_from_db()
        assert budget.reserved_micros == 0
    assert_accounts_agree(tenant)
