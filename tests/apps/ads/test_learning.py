"""From deliveries to a promoted model of clicks, and from it to the worth of ads."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.utils import timezone

from apps.ads.auctions.snapshot import current_snapshot, forget_snapshots
from apps.ads.campaigns.models import Creative, Placement
from apps.ads.engine import open_impressions
from apps.ads.forecasts.offers import offers_of
from apps.ads.learning.snapshots import take_clicks, take_conversions
from apps.ads.settings import current_settings
from apps.ads.tracking.models import Delivery
from serving import selectors
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.selectors import model_versions
from serving.services import TooLittleData, request_training
from serving.tasks import train_model
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import TENANT_HEADER
from tests.apps.ads.world import make_campaign, make_live_flight, make_placement

QUICK = {
    "epochs": 6,
    "patience": 6,
    "batch_size": 256,
    "learning_rate": 1e-2,
    "averaging": 0.9,
    "hidden": 16,
    "dimension": 4,
    "dropout": 0.0,
}


def deliver(creative: Creative, placement: Placement, moment: Any, *, is_clicked: bool) -> Delivery:
    """An ad that was seen, and perhaps clicked a minute later."""
    return Delivery(
        tenant_id=creative.tenant_id,
        delivery_id=uuid4(),
        flight_id=creative.flight_id,
        creative_id=creative.id,
        placement_id=placement.id,
        bid_kind="cpc",
        price_micros=0,
        reserved_micros=0,
        day=moment.date(),
        status="billed",
        click_url=creative.click_url,
        post_click_days=7,
        post_view_hours=24,
        placed_at=moment,
        expires_at=moment,
        impression_at=moment,
        clicked_at=moment + timedelta(minutes=1) if is_clicked else None,
    )


def fill_deliveries(count: int) -> dict[tuple[str, str], float]:
    """Three weeks of six creatives at four placements, each with an effect of its own; the true rates of clicks."""
    campaign = make_campaign()
    for _ in range(6):
        make_live_flight(campaign, bid_kind="cpc")
    creatives = list(Creative.objects.order_by("id"))
    placements = [make_placement(f"place-{number}") for number in range(4)]
    logit = -2.0 + np.linspace(-1.5, 1.5, 6)[:, None] + np.linspace(-1.2, 1.2, 4)
    rate = 1 / (1 + np.exp(-logit))
    generator = np.random.default_rng(0)
    at, begins = generator.integers(0, (6, 4), (count, 2)), timezone.now() - timedelta(days=22)
    Delivery.objects.bulk_create(
        deliver(
            creatives[creative],
            placements[place],
            begins + timedelta(days=21 * float(generator.random())),
            is_clicked=bool(generator.random() < rate[creative, place]),
        )
        for creative, place in at
    )
    return {
        (str(creative.id), placement.key): float(rate[row, column])
        for row, creative in enumerate(creatives)
        for column, placement in enumerate(placements)
    }


def train(tenant: Tenant) -> tuple[TrainingRun, ModelVersion | None]:
    """The run as a worker would do it in this process, and its version."""
    with tenant_scope(tenant.id):
        run = request_training(model="click-rate", task="click_rate", config=QUICK)
    train_model.apply(kwargs={"run_id": str(run.id)}, headers={TENANT_HEADER: tenant.id}).get()
    selectors._lines.clear()
    with tenant_scope(tenant.id):
        return TrainingRun.objects.get(id=run.id), model_versions().filter(run=run).first()


def worth_rates() -> dict[tuple[str, str], float]:
    """What an impression of each creative at each placement is taken to bring in clicks."""
    forget_snapshots()
    snapshot = current_snapshot()
    return {
        (str(ad.creative_id), placement.key): float(rate)
        for placement in snapshot.placements.values()
        for ad, rate in zip(snapshot.ads, snapshot.worth_at(placement).rates, strict=True)
    }


def test_a_promoted_model_of_clicks_says_what_ads_are_worth(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        truth = fill_deliveries(6_000)
        counted = worth_rates()
    assert set(counted.values()) == {0.005}, "without counts or a model the prior answers"

    run, version = train(tenant)
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, "")
    assert version is not None
    assert version.status == "live", version.reasons
    assert set(version.metrics["baselines"]) == {
        "mean_rate",
        "creative_rate",
        "placement_rate",
        "creative_at_placement_rate",
    }

    with tenant_scope(tenant.id):
        learned = worth_rates()
        creative = Creative.objects.select_related("flight__campaign__advertiser").order_by("id")[0]
        places = [f"place-{number}" for number in range(4)]
        foretold = offers_of(creative.flight, [creative], places, current_settings(), timezone.now())
    rates = {(str(creative.id), key): offer.rate for key, (_, (offer,)) in foretold.items()}
    assert rates == pytest.approx({pair: learned[pair] for pair in rates}), "a forecast asks it too"
    assert len(rates) == 4
    assert learned.keys() == truth.keys()
    error = np.array([learned[pair] - truth[pair] for pair in truth])
    assert np.abs(error).mean() < 0.03
    assert np.corrcoef(list(learned.values()), [truth[pair] for pair in learned])[0, 1] > 0.95


def test_another_tenants_deliveries_are_not_learned_from(tenant: Tenant, other_tenant: Tenant, tmp_path: Any) -> None:
    with tenant_scope(tenant.id):
        fill_deliveries(50)
        assert len(open_impressions(take_clicks({}, tmp_path))) == 50
    with tenant_scope(other_tenant.id):
        assert len(open_impressions(take_clicks({}, tmp_path))) == 0


def test_ads_that_may_still_be_clicked_are_left_out_and_clicks_keep_their_delay(scope: None, tmp_path: Any) -> None:
    make_live_flight()
    creative, placement, now = Creative.objects.get(), make_placement(), timezone.now()
    old, new = (deliver(creative, placement, now - timedelta(hours=age), is_clicked=True) for age in (9, 1))
    old.converted_at = old.clicked_at + timedelta(hours=2)
    Delivery.objects.bulk_create([old, new])

    shown = open_impressions(take_clicks({}, tmp_path))
    assert (shown.clicked.tolist(), len(shown)) == ([1], 1)
    clicks = open_impressions(take_conversions({}, tmp_path))
    assert clicks.clicked.tolist() == [1, 0]
    assert clicks.delay[0] == pytest.approx(7_200)


def test_too_few_clicks_are_said_before_a_run_is_made(scope: None) -> None:
    with pytest.raises(TooLittleData, match="0 ads were clicked in 60 days; training needs 200"):
        request_training(model="click-rate", task="click_rate")
    with pytest.raises(TooLittleData, match="0 ads led to a conversion"):
        request_training(model="conversion-rate", task="conversion_rate")
    assert not TrainingRun.objects.exists()
