"""Every number of a report is one that the raw rows give, found by SQL of another shape."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.campaigns.models import Campaign
from apps.ads.reports import selectors
from apps.ads.reports.selectors import CUTS, filtered_traffic, report
from apps.ads.tracking.conversions import settle_conversions
from apps.ads.tracking.models import Delivery, FilteredEvent
from behavior.services import store_events
from behavior.subjects import read_subject
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import (
    BROWSER,
    UNIT,
    click,
    later,
    make_campaign,
    make_live_flight,
    make_placement,
    place,
    see,
)
from tests.conftest import make_client
from tests.database import connected_as

COLUMN = {
    "advertiser": "(SELECT c.advertiser_id FROM ads_flight f JOIN ads_campaign c ON c.id = f.campaign_id "
    "WHERE f.id = d.flight_id)::text",
    "campaign": "(SELECT f.campaign_id FROM ads_flight f WHERE f.id = d.flight_id)::text",
    # From what the decision was told, not from the delivery.
    "country": "coalesce((SELECT s.request #>> '{facts,countries,0}' FROM decisions_decision s "
    "WHERE s.decision_id = d.delivery_id), '')",
    "device": "(SELECT s.request #>> '{facts,devices,0}' FROM decisions_decision s "
    "WHERE s.decision_id = d.delivery_id)",
    "flight": "d.flight_id::text",
    "creative": "d.creative_id::text",
    "placement": "d.placement_id::text",
}


PHONE = "Mozilla/5.0 (Linux; Android 15; Pixel 9) Mobile Safari/537.36"


def numbers(statement: str, key: str) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(statement.format(key=key))
        return dict(cursor.fetchall())


@pytest.fixture
def traffic(tenant: Tenant) -> Tenant:
    """Forty readers of two placements: most see the ad, some click it, a few buy."""
    with tenant_scope(tenant.id):
        for key in ("top", "side"):
            make_placement(key, auction="first_price")
        campaign = make_campaign()
        make_live_flight(campaign, bid_micros=2_345_678)
        make_live_flight(campaign, bid_kind="cpc", bid_micros=300_001, creative={"quality": 2.0})
        placed: list[UUID] = []
        for number in range(40):
            subject = read_subject({"user_id": f"u{number}"})
            context = {"country": ("DE", "FR")[number % 2]} if number % 5 else {}
            agent = PHONE if number % 3 == 0 else BROWSER
            asked = Ask(("top", "side"), subject, context, user_agent=agent, has_consent=True)
            placed += [each.decision_id for each in decide(asked) if each.lead]
        for delivery in placed[:60]:
            see(delivery)
        # As if they had looked for a while before they clicked.
        Delivery.objects.exclude(impression_at=None).update(impression_at=timezone.now() - timedelta(seconds=30))
        for delivery in placed[:24]:
            click(delivery)
        click(placed[0])
        click(placed[0])
    with tenant_scope(tenant.id):
        events: list[dict[str, Any]] = [
            {
                "message_id": str(uuid4()),
                "type": "purchase",
                "item_id": "tent",
                "value": 19.99 + number,
                "subject": {"user_id": f"u{number}"},
            }
            for number in range(9)
        ]
        store_events(events=events, source="api")
    with tenant_scope(tenant.id):
        settle_conversions()
    return tenant


@pytest.mark.parametrize("by", CUTS)
def test_every_number_is_the_one_of_the_raw_rows(by: str, traffic: Tenant) -> None:
    now = timezone.now()
    span = {"since": now - timedelta(hours=3), "until": now + timedelta(hours=1)}

    def hour(column: str) -> str:
        return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24') || ':00+00:00'"

    def day(column: str) -> str:
        return f"({column} AT TIME ZONE 'UTC')::date::text"

    def key(moment: str) -> str:
        return COLUMN.get(by) or {"day": day, "hour": hour}[by](moment)

    joined = "FROM {table} t JOIN ads_delivery d USING (delivery_id)"
    with tenant_scope(traffic.id):
        rows = {row.key: row for row in report(by=by, **span)}
        counted = {
            name: numbers(
                f"SELECT {{key}}, count(*) FROM ads_delivery d WHERE {moment} IS NOT NULL GROUP BY 1", key(moment)
            )
            for name, moment in (("placed", "placed_at"), ("impressions", "impression_at"), ("clicks", "clicked_at"))
        }
        ledger = joined.replace("{table}", "ads_ledgerentry")
        bought = joined.replace("{table}", "ads_attributedconversion")
        counted["spend_micros"] = numbers(
            f"SELECT {{key}}, sum(t.amount_micros)::bigint {ledger} GROUP BY 1", key("t.billed_at")
        )
        counted["conversions"] = numbers(f"SELECT {{key}}, count(*) {bought} GROUP BY 1", key("t.occurred_at"))
        filtered = joined.replace("{table}", "ads_filteredevent")
        counted["filtered"] = numbers(f"SELECT {{key}}, sum(t.count)::bigint {filtered} GROUP BY 1", key("t.hour"))
        counted["revenue_micros"] = numbers(
            "SELECT {key}, sum(round(e.value * 1e6))::bigint "
            f"{bought} JOIN behavior_event e ON e.event_id = t.event_id GROUP BY 1",
            key("t.occurred_at"),
        )

    assert sum(row.placed for row in rows.values()) == 80
    assert sum(row.conversions for row in rows.values()) == 9
    assert sum(row.filtered for row in rows.values()) == 2
    assert sum(row.spend_micros for row in rows.values()) > UNIT
    for name, expected in counted.items():
        assert {found: getattr(row, name) for found, row in rows.items() if getattr(row, name)} == expected, name


def test_a_purchase_that_the_log_hears_of_late_counts_in_its_own_hour(traffic: Tenant) -> None:
    now = timezone.now()
    bought_at = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=2, minutes=30)
    with tenant_scope(traffic.id):
        # Seen and clicked just before.
        early = bought_at - timedelta(minutes=5)
        clicked = Delivery.objects.exclude(clicked_at=None)
        clicked.update(placed_at=early, impression_at=early, clicked_at=early)
    with tenant_scope(traffic.id):
        store_events(
            events=[
                {
                    "message_id": str(uuid4()),
                    "type": "purchase",
                    "item_id": "tent",
                    "value": 55.5,
                    "created_at": bought_at.isoformat(),
                    "subject": {"user_id": "u0"},
                }
            ],
            source="api",
        )
    with tenant_scope(traffic.id):
        settle_conversions()
        rows = {row.key: row for row in report(by="hour", since=now - timedelta(hours=6), until=now)}
    row = rows[bought_at.strftime("%Y-%m-%d %H:00+00:00")]
    assert (row.conversions, row.revenue_micros) == (1, 55_500_000)


def test_rates_are_ratios_of_what_the_row_says(traffic: Tenant) -> None:
    now = timezone.now()
    with tenant_scope(traffic.id):
        rows = report(by="flight", since=now - timedelta(hours=1), until=now + timedelta(hours=1))
        filtered = filtered_traffic(since=now - timedelta(hours=1), until=now + timedelta(hours=1))
    for row in rows:
        assert row.ctr == row.clicks / row.impressions
        assert row.cvr == (row.conversions / row.clicks if row.clicks else None)
        assert row.roas == row.revenue_micros / row.spend_micros
    assert {each["reason"]: each["count"] for each in filtered}["replayed"] == 2


def test_what_counts_and_was_not_paid_is_not_among_what_counts_for_nothing(scope: Tenant) -> None:
    make_placement(auction="first_price")
    make_live_flight(bid_kind="cpc", bid_micros=UNIT, budget_micros=UNIT)
    first, second = place("u1"), place("u2")
    for delivery in (first, second):
        see(delivery)
    later(seconds=5)
    for delivery in (first, second, second):
        click(delivery)
    span = {"since": timezone.now() - timedelta(hours=1), "until": timezone.now()}
    (row,) = report(by="flight", **span)
    assert (row.clicks, row.unpaid, row.filtered, row.spend_micros) == (2, 1, 1, UNIT)
    assert filtered_traffic(**span) == [{"kind": "click", "reason": "replayed", "count": 1}]


def test_replays_of_two_days_count_on_the_days_on_which_they_came(traffic: Tenant) -> None:
    now, day = timezone.now(), timedelta(days=1)
    with tenant_scope(traffic.id):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE ads_filteredevent SET hour = hour - interval '1 day'")
        delivery = Delivery.objects.exclude(clicked_at=None).order_by("delivery_id").first()
        assert delivery is not None
        for _ in range(3):
            assert click(delivery.delivery_id).filtered == "replayed"
        campaign = Campaign.objects.get()
        other = make_campaign()
        spans = [{"since": now - 2 * day, "until": now - timedelta(hours=2)}, {"since": now, "until": now + day}]
        counts = [[each["count"] for each in filtered_traffic(**span)] for span in spans]
        assert counts == [[2], [3]]
        assert [sum(row.filtered for row in report(by="day", **span)) for span in spans] == [2, 3]
        assert filtered_traffic(**spans[1], campaign_id=campaign.id)[0]["count"] == 3
        assert filtered_traffic(**spans[1], campaign_id=other.id) == []


def test_an_hour_that_two_days_share_counts_in_the_later_one(scope: Tenant) -> None:
    """In India a day begins in the middle of an hour of UTC."""
    make_placement(auction="first_price")
    flight, delivery, zone = make_live_flight(), place(), "Asia/Kolkata"
    begins = datetime(2026, 5, 20, tzinfo=ZoneInfo(zone))
    days = [begins + timedelta(days=number) for number in range(3)]
    values = {"delivery_id": delivery, "flight_id": flight.id, "kind": "click", "tenant_id": scope.id}
    for number, moment in enumerate([days[0], days[0] + timedelta(hours=9), days[1], days[2]]):
        hour = (moment - timedelta(minutes=30)).astimezone(UTC)
        FilteredEvent.objects.create(**values, reason="too_fast", count=10**number, hour=hour)

    for since, until, expected in (
        (days[0], days[1], [("2026-05-20", 11)]),
        (days[1], days[2], [("2026-05-21", 100)]),
        (days[0], days[2], [("2026-05-20", 11), ("2026-05-21", 100)]),
    ):
        rows = report(by="day", since=since, until=until, zone=zone)
        assert [(row.key, row.filtered) for row in rows] == expected
        counted = filtered_traffic(since=since, until=until)
        assert [each["count"] for each in counted] == [sum(count for _, count in expected)]


def test_the_upgrade_calls_unpaid_what_was_noted_as_budget(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        flight, delivery, now = make_live_flight(), place(), timezone.now()
        hour = now.replace(minute=0, second=0, microsecond=0)
        values = {"tenant_id": tenant.id, "delivery_id": delivery, "flight_id": flight.id, "kind": "click"}
        for reason in ("budget", "bot"):
            FilteredEvent.objects.create(**values, reason=reason, hour=hour)
    upgrade = import_module("apps.ads.migrations.0017_unpaid_and_paused")
    with connected_as("owner"), connection.cursor() as cursor:
        cursor.execute(upgrade.in_each_tenant(upgrade.RENAME.format(old="budget", new="unpaid")))
    with tenant_scope(tenant.id):
        (row,) = report(by="flight", since=now - timedelta(hours=1), until=now)
    assert (row.unpaid, row.filtered) == (1, 1)


def test_the_two_hours_of_one_name_at_the_end_of_summer_time_are_two_rows(traffic: Tenant) -> None:
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    with tenant_scope(traffic.id):
        half = list(Delivery.objects.values_list("delivery_id", flat=True)[:30])
        Delivery.objects.update(placed_at=first)
        Delivery.objects.filter(delivery_id__in=half).update(placed_at=second)
        rows = report(by="hour", since=first, until=second + timedelta(hours=1), zone="Europe/Berlin")
    assert [(row.key, row.placed) for row in rows] == [("2026-10-25 02:00+02:00", 50), ("2026-10-25 02:00+01:00", 30)]


def test_more_rows_than_an_answer_holds_are_refused_and_not_cut(
    traffic: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "MOST_ROWS", 1)
    now = timezone.now()
    span = {"since": now - timedelta(hours=1), "until": now + timedelta(hours=1)}
    with tenant_scope(traffic.id):
        assert len(report(by="campaign", **span)) == 1
    for path in ("ads/reports", "ads/reports.csv"):
        answer = make_client(traffic).get(f"{path}?by=placement")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "by"
        assert "choose a shorter time" in answer.json()["detail"]
