"""Rates of clicks that know what the subject did: learnt, asked in the auction, and the same in both."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import Placed, decide
from apps.ads.auctions.snapshot import current_snapshot, forget_snapshots
from apps.ads.campaigns.models import Creative, Placement
from apps.ads.engine import CLICK_MODEL, learned_rates_after, open_impressions, reads_history
from apps.ads.learning.history import LENGTH, history_of
from apps.ads.learning.snapshots import take_clicks
from apps.ads.tracking.models import Delivery
from behavior.services import store_events
from behavior.subjects import read_subject
from ml.data.impressions import Impressions
from ml.serving.click_rate import ClickRatePredictor
from serving import selectors
from serving.artifacts import resolve_artifact
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.apps.ads.tastes import views
from tests.apps.ads.test_learning import deliver, train
from tests.apps.ads.world import BROWSER, UNIT, make_campaign, make_live_flight, make_placement
from tests.database import connected_as
from tests.queries import CapturedQueries

OF_EACH = 100
DELIVERIES = 4_000
DAYS = 22


def receive_as_they_occurred(tenant: Tenant) -> None:
    """As if the log had received each event when it happened."""
    month = timezone.now().date().replace(day=1)
    with connected_as("owner"), tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS parts.behavior_event_past PARTITION OF behavior_event "
            f"FOR VALUES FROM ('2000-01-01T00:00:00Z') TO ('{month}T00:00:00Z')"
        )
        cursor.execute("UPDATE behavior_event SET received_at = occurred_at WHERE received_at > occurred_at")


def store_views(begins: datetime) -> None:
    events: list[dict[str, Any]] = []
    for number in range(OF_EACH):
        for taste, kind in enumerate(("camper", "climber")):
            created = {"created_at": begins.timestamp() - 3600.0 * (number % 5 + 1)}
            events += [each | created for each in views(f"{kind}-{number}", taste)]
    for start in range(0, len(events), 1_000):
        store_events(events=events[start : start + 1_000], source="test")


def fill(tenant: Tenant) -> list[str]:
    """Three weeks in which campers click one of two creatives and climbers the other; the creatives' ids."""
    begins = timezone.now() - timedelta(days=DAYS)
    with tenant_scope(tenant.id):
        store_views(begins)
        campaign = make_campaign()
        for _ in range(2):
            make_live_flight(campaign, bid_kind="cpc", bid_micros=UNIT, budget_micros=500 * UNIT)
        creatives, placement = list(Creative.objects.order_by("id")), make_placement(auction="first_price")
        generator = np.random.default_rng(0)
        rows = []
        for _ in range(DELIVERIES):
            taste, which, number, known = generator.integers(0, (2, 2, OF_EACH, 4))
            moment = begins + timedelta(days=(DAYS - 1) * float(generator.random()))
            is_clicked = bool(generator.random() < (0.4 if taste == which else 0.05))
            row = deliver(creatives[which], placement, moment, is_clicked=is_clicked)
            # A quarter of the readers are not known.
            row.subject_key = subject_key("user_id", f"{('camper', 'climber')[taste]}-{number}") if known else None
            row.consent = 3
            rows.append(row)
        Delivery.objects.bulk_create(rows)
    receive_as_they_occurred(tenant)
    return [str(each.id) for each in creatives]


def shown(user: str, *, consent: bool = True) -> Placed:
    subject = read_subject({"user_id": user}) if consent else None
    (placed,) = decide(Ask(("top",), subject, user_agent=BROWSER, has_consent=consent))
    return placed


def decoded(log: Impressions, row: int) -> list[str]:
    told = log.values[log.target_place]
    return [told[code - 1] for code in log.history[row] if code]


def test_ads_are_weighed_by_what_the_subject_did(tenant: Tenant, tmp_path: Path) -> None:
    creatives = fill(tenant)
    run, version = train(tenant)
    assert version is not None, run.error
    assert version.status == "live", version.reasons
    assert version.metrics["score"] > 2 * max(version.metrics["baselines"].values())

    with tenant_scope(tenant.id):
        forget_snapshots()
        assert reads_history()
        campers, climbers = ([shown(f"{kind}-{number}") for number in range(3)] for kind in ("camper", "climber"))
        for placed in (*campers, *climbers):
            assert placed.lead is not None
            assert placed.lead.rate > 0.2, "near the rate of those who like it"
        assert {str(each.lead.ad.creative_id) for each in campers if each.lead} == {creatives[0]}
        assert {str(each.lead.ad.creative_id) for each in climbers if each.lead} == {creatives[1]}
        # Who is not named, or did nothing yet, gets what everybody gets.
        for placed in (shown("newcomer"), shown("camper-0", consent=False)):
            assert placed.lead is not None
            assert 0.17 < placed.lead.rate < 0.28, "near the rate of all"
        worth = current_snapshot().worth_at(current_snapshot().placements["top"])
        assert worth.described, "what the auctions of those who are not known keep of its participants"
        for (position, _), told in worth.described.items():
            assert json.loads(told)["score"] == round(float(worth.scores[position]), 3)

        rates_are_the_same_online_and_offline(version, tenant, tmp_path)

        # Two creatives of one flight are weighed as those of two are.
        Creative.objects.filter(id=creatives[1]).update(flight=Creative.objects.get(id=creatives[0]).flight)
        forget_snapshots()
        leads = [shown(f"{kind}-0").lead for kind in ("camper", "climber")]
        assert [str(lead.ad.creative_id) for lead in leads if lead] == creatives


def rates_are_the_same_online_and_offline(version: ModelVersion, tenant: Tenant, folder: Path) -> None:
    """What training reads of a delivery is what its auction would have read and been answered."""
    log = open_impressions(take_clicks({}, folder))
    predictor = ClickRatePredictor.load(resolve_artifact(tenant.id, version.artifact))
    offline = predictor.probabilities(log)
    seen = Delivery.objects.exclude(impression_at=None)
    moments = dict(seen.values_list("impression_at", "subject_key"))
    creatives, placements, _ = log.values
    for row in range(0, len(log), 400):
        (moment,) = [each for each in moments if abs(each.timestamp() - log.time[row]) < 1e-5]
        history = history_of(bytes(moments[moment]), moment) if moments[moment] else []
        assert history == decoded(log, row)
        assert len(history) == (6 if moments[moment] else 0)
        asked = creatives[log.fields[row, 0] - 1], placements[log.fields[row, 1] - 1]
        online = learned_rates_after(CLICK_MODEL, [asked[0]], [asked[1]], history)
        assert online is not None
        np.testing.assert_allclose(online, offline[row], rtol=1e-5)


@pytest.fixture
def reader(scope: Tenant) -> bytes:
    return subject_key("user_id", "ada")


def view(number: int, **values: Any) -> dict[str, Any]:
    ago = {"created_at": timezone.now().timestamp() - 60.0 * (100 - number)}
    return (
        {"message_id": f"m{number}", "type": "view", "subject": {"user_id": "ada"}, "item_id": f"i{number}"}
        | ago
        | values
    )


def test_a_history_is_the_last_things_that_were_agreed_to(reader: bytes) -> None:
    creative = str(uuid4())
    store_events(
        events=[
            *(view(number) for number in range(25)),
            view(30, consent={"personalisation": True, "training": False}),
            view(31, item_id=None, type="ad_impression"),
            view(32, type="purchase"),
            view(33, item_id=None, type="ad_click", properties={"creative": creative}),
        ],
        source="test",
    )
    now = timezone.now()
    history = history_of(reader, now)
    assert history[-3:] == ["view i24", "purchase i32", creative]
    assert len(history) == LENGTH
    # What had not been received by then was not known.
    assert history_of(reader, now - timedelta(hours=1)) == []


def test_without_a_model_that_reads_histories_none_is_read(scope: Tenant) -> None:
    selectors._lines.clear()
    make_placement()
    make_live_flight(bid_kind="cpc", bid_micros=UNIT, budget_micros=50 * UNIT)
    with CapturedQueries() as queries:
        assert shown("ada").lead is not None
    assert not [each for each in queries.captured_queries if "array_agg" in each["sql"]]
    assert Placement.objects.count() == 1


def test_training_reads_no_history_of_who_did_not_agree_to_it(scope: Tenant, tmp_path: Path) -> None:
    store_events(events=[view(1)], source="test")
    make_live_flight()
    creative, placement = Creative.objects.get(), make_placement()
    agreed, refused = (deliver(creative, placement, timezone.now(), is_clicked=True) for _ in range(2))
    for each, consent in ((agreed, 3), (refused, 1)):
        each.subject_key, each.consent = subject_key("user_id", "ada"), consent
        each.impression_at = timezone.now() - timedelta(hours=9)
    refused.impression_at += timedelta(minutes=1)
    Delivery.objects.bulk_create([agreed, refused])
    log = open_impressions(take_clicks({}, tmp_path))
    assert [decoded(log, row) for row in range(2)] == [["view i1"], []]
