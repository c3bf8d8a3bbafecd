"""What became of an ad is behaviour: it joins the log once, in batches, with the subject's consent."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.tracking.conversions import settle_conversions
from apps.ads.tracking.event_log import log_deliveries
from apps.ads.tracking.models import Delivery
from behavior.models import Event
from behavior.selectors import recent_events
from behavior.services import store_events
from behavior.subjects import Subject, read_subject
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import BROWSER, UNIT, click, make_live_flight, make_placement, see
from tests.queries import CapturedQueries

Place = Callable[..., Delivery]


@pytest.fixture
def place(scope: Tenant) -> Place:
    make_placement(auction="first_price")
    make_live_flight(bid_kind="cpc", bid_micros=UNIT, budget_micros=50 * UNIT)

    def place(subject: Subject | None = None, **consent: bool) -> Delivery:
        (placed,) = decide(Ask(("top",), subject, user_agent=BROWSER, **consent))
        return Delivery.objects.get(delivery_id=placed.decision_id)

    return place


def see_and_click(delivery: Delivery) -> None:
    see(delivery.delivery_id)
    Delivery.objects.update(impression_at=timezone.now() - timedelta(seconds=30))
    assert click(delivery.delivery_id).filtered is None


def test_impressions_and_clicks_are_the_subjects_behaviour(place: Place) -> None:
    reader = read_subject({"user_id": "u1"})
    delivery = place(reader, has_consent=True)
    see(delivery.delivery_id)
    assert log_deliveries() == 1
    see_and_click(delivery)
    see(delivery.delivery_id)  # replayed: it happened once
    assert log_deliveries() == 1
    assert log_deliveries() == 0

    assert [each.type for each in recent_events(reader.keys)] == ["ad_impression", "ad_click"]
    event = Event.objects.get(type="ad_click")
    assert (event.decision_id, event.item_id, event.source) == (delivery.delivery_id, None, "ads")
    assert event.properties["creative"] == str(delivery.creative_id)
    delivery.refresh_from_db()
    assert event.occurred_at == delivery.clicked_at


def test_consent_travels_with_the_event_and_nobody_is_logged_without_a_subject(place: Place) -> None:
    see(place(read_subject({"user_id": "u1"}), has_consent=True).delivery_id)
    see(place(read_subject({"user_id": "u2"}), has_consent=True, may_train=True).delivery_id)
    see(place(None).delivery_id)
    log_deliveries()
    assert sorted(Event.objects.values_list("consent", flat=True)) == [1, 3]


def test_a_conversion_is_an_event_beside_its_purchase(tenant: Tenant) -> None:
    reader = {"user_id": "u1"}
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        flight = make_live_flight(bid_kind="cpc", bid_micros=UNIT, budget_micros=50 * UNIT)
        (placed,) = decide(Ask(("top",), read_subject(reader), user_agent=BROWSER, has_consent=True))
        see_and_click(Delivery.objects.get(delivery_id=placed.decision_id))
        purchase = {"message_id": "p", "type": "purchase", "item_id": "tent", "value": 80.0, "currency": "EUR"}
        store_events(events=[purchase | {"subject": reader}], source="api")
    for _ in range(2):
        with tenant_scope(tenant.id):
            settle_conversions()
    with tenant_scope(tenant.id):
        event = Event.objects.get(type="ad_conversion")
        assert (event.value, event.currency, event.decision_id) == (80.0, "EUR", placed.decision_id)
        bought = Event.objects.get(type="purchase")
        assert event.properties == {"flight": str(flight.id), "touch": "click", "event": str(bought.event_id)}


def test_a_batch_costs_the_same_statements_whatever_its_size(place: Place) -> None:
    def statements(count: int) -> int:
        for number in range(count):
            see(place(read_subject({"user_id": f"u{number}"}), has_consent=True).delivery_id)
        with CapturedQueries() as queries:
            log_deliveries()
        return len(queries)

    assert statements(1) == statements(7)
