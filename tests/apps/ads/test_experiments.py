"""Experiments: every reader in one arm, arms in their shares, and intervals that hold what they say."""

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.auctions.snapshot import forget_snapshots
from apps.ads.campaigns.models import Campaign, Creative, Flight
from apps.ads.campaigns.services import archive, change, create
from apps.ads.experiments.models import Experiment
from apps.ads.experiments.report import experiment_report
from apps.ads.models import Delivery
from behavior.subjects import read_subject
from decisions.experiments import Ratio, arm_of
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import BROWSER, make_campaign, make_creative, make_live_flight, make_placement, see
from tests.conftest import ApiClient


def split(campaign: Campaign, *members: Any, **values: Any) -> Experiment:
    now = timezone.now()
    arms = [
        {"name": f"arm {number}", "share": 1 / len(members), "members": [str(each.id)]}
        for number, each in enumerate(members)
    ]
    dates = {"starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(days=1)}
    made = create(
        Experiment, actor="test", campaign_id=campaign.id, **{"name": "Banners", "arms": arms} | dates | values
    )
    forget_snapshots()
    return made


def shown_to(user: str | None) -> Delivery:
    subject = read_subject({"user_id": user}) if user else None
    (placed,) = decide(Ask(("top",), subject, user_agent=BROWSER, has_consent=subject is not None))
    return Delivery.objects.get(delivery_id=placed.decision_id)


@pytest.fixture
def flight(scope: Tenant) -> Flight:
    make_placement(auction="first_price")
    return make_live_flight()


def test_each_reader_sees_the_creative_of_one_arm(flight: Flight) -> None:
    creatives = [Creative.objects.get(), make_creative(flight)]
    split(flight.campaign, *creatives)

    seen: dict[str, set[Any]] = {}
    for number in range(60):
        user = f"u{number % 20}"
        seen.setdefault(user, set()).add(shown_to(user).creative_id)
    assert all(len(found) == 1 for found in seen.values())
    assert set().union(*seen.values()) == {each.id for each in creatives}


def test_arms_of_flights_compare_bids_and_the_loser_says_why(scope: Tenant) -> None:
    make_placement(auction="first_price")
    campaign = make_campaign()
    low, high = (make_live_flight(campaign, bid_micros=bid) for bid in (1_000_000, 3_000_000))
    experiment = split(campaign, low, high)
    unit = {arm: user for user in map(str, range(50)) for arm in [arm_of_user(experiment, user)]}
    assert shown_to(unit[0]).flight_id == low.id  # though the other bids more
    assert shown_to(unit[1]).flight_id == high.id
    (placed,) = decide(Ask(("top",), read_subject({"user_id": unit[0]}), user_agent=BROWSER, has_consent=True))
    assert placed.lead is not None

    archive(Experiment, object_id=experiment.id, actor="test")
    forget_snapshots()
    assert shown_to(unit[0]).flight_id == high.id


def arm_of_user(experiment: Experiment, user: str) -> int:
    return arm_of(experiment.id, read_subject({"user_id": user}).key, [arm["share"] for arm in experiment.arms])


def test_arms_get_their_shares_and_experiments_do_not_know_of_each_other() -> None:
    first, second = uuid4(), uuid4()
    units = [uuid4().bytes for _ in range(20_000)]
    both = Counter((arm_of(first, unit, (0.2, 0.8)), arm_of(second, unit, (0.5, 0.5))) for unit in units)
    for arm, share in ((0, 0.1), (1, 0.4)):
        for other in (0, 1):
            assert abs(both[arm, other] / len(units) - share) < 0.015


def arms_of(shares: tuple[float, ...], members: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"name": f"arm {number}", "share": share, "members": [member]}
        for number, (share, member) in enumerate(zip(shares, members, strict=True))
    ]


IDS = (str(uuid4()), str(uuid4()))


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ("no list", "must be a list of 2 to 10"),
        (arms_of((1.0,), IDS[:1]), "must be a list of 2 to 10"),
        (arms_of((1.0, 1.0), IDS), "shares between 0 and 1"),
        (arms_of((0.4, 0.4), IDS), "add up"),
        (arms_of((0.5, 0.5), ("x", "y")), "no ids"),
        (arms_of((0.5, 0.5), (IDS[0], IDS[0])), "twice"),
        ([], "must be a list of 2 to 10"),
        ([arm | {"name": "\ud800"} for arm in arms_of((0.5, 0.5), IDS)], "not valid Unicode"),
        (arms_of((0.5, 0.5), IDS), "no flight or creative of the campaign"),
    ],
)
def test_arms_that_cannot_be_are_refused(arms: Any, message: str, flight: Flight) -> None:
    with pytest.raises(ValidationError, match=message) as refused:
        split(flight.campaign, flight, flight, arms=arms)
    assert refused.value.message_dict.keys() == {"arms"}


def test_a_flight_and_its_own_creative_are_not_two_members(flight: Flight) -> None:
    with pytest.raises(ValidationError, match="and its flight") as refused:
        split(flight.campaign, flight, Creative.objects.get())
    assert refused.value.message_dict.keys() == {"arms"}


def test_arms_are_fixed_once_it_has_begun(flight: Flight) -> None:
    experiment = split(flight.campaign, *[Creative.objects.get(), make_creative(flight)])
    changed = [arm | {"share": share} for arm, share in zip(experiment.arms, (0.1, 0.9), strict=True)]
    with pytest.raises(ValidationError, match="cannot change once"):
        change(Experiment, object_id=experiment.id, actor="test", changes={"arms": changed})
    ends = timezone.now() + timedelta(days=3)
    assert change(Experiment, object_id=experiment.id, actor="test", changes={"ends_at": ends}).ends_at == ends


def test_what_was_shown_before_it_was_made_does_not_count(flight: Flight) -> None:
    creatives = [Creative.objects.get(), make_creative(flight)]
    forget_snapshots()
    see(shown_to("early").delivery_id)
    made_at = timezone.now()
    experiment = split(flight.campaign, *creatives, starts_at=made_at - timedelta(days=7))
    assert experiment.starts_at >= made_at
    see(shown_to("late").delivery_id)
    assert sum(arm["impressions"] for arm in experiment_report(experiment)) == 1


def test_an_experiment_that_has_ended_goes_on_no_more(flight: Flight) -> None:
    experiment = split(flight.campaign, *[Creative.objects.get(), make_creative(flight)])
    ended = timezone.now() - timedelta(hours=1)
    Experiment.objects.update(starts_at=ended - timedelta(days=1), ends_at=ended)
    with pytest.raises(ValidationError, match="has ended") as refused:
        change(Experiment, object_id=experiment.id, actor="test", changes={"ends_at": ended + timedelta(days=3)})
    assert refused.value.message_dict.keys() == {"ends_at"}
    assert change(Experiment, object_id=experiment.id, actor="test", changes={"name": "Banners, May"}).name


def test_an_experiment_lies_in_the_future(flight: Flight) -> None:
    with pytest.raises(ValidationError, match="and after now"):
        split(flight.campaign, Creative.objects.get(), make_creative(flight), ends_at=timezone.now())


def test_the_interval_is_that_of_the_bootstrap_over_readers() -> None:
    rng = np.random.default_rng(1)
    seen = rng.integers(1, 30, 4_000)
    clicks = rng.binomial(seen, rng.beta(2, 30, 4_000))  # readers differ, so impressions are not independent
    sums = Ratio(
        len(seen),
        *(
            float(each)
            for each in (seen.sum(), clicks.sum(), (seen**2).sum(), (clicks**2).sum(), (seen * clicks).sum())
        ),
    )
    assert sums.interval is not None
    assert sums.value is not None
    low, high = sums.interval
    drawn = rng.integers(0, 4_000, (2_000, 4_000))
    rates = clicks[drawn].sum(axis=1) / seen[drawn].sum(axis=1)
    ends = np.quantile(rates, [0.025, 0.975])
    assert high - low == pytest.approx(ends[1] - ends[0], rel=0.06)
    naive = 2 * 1.96 * np.sqrt(sums.value * (1 - sums.value) / sums.whole)
    assert high - low > 1.1 * naive


def test_the_report_counts_readers_by_arm(tenant: Tenant, api: ApiClient) -> None:
    with tenant_scope(tenant.id):
        make_placement(auction="first_price")
        flight = make_live_flight(bid_micros=2_000_000)
        creatives = [Creative.objects.get(), make_creative(flight)]
        experiment = split(flight.campaign, *creatives)
        for number in range(120):
            see(shown_to(f"u{number % 80}").delivery_id)
        # Everybody clicks in the second arm, nobody in the first.
        Delivery.objects.filter(creative_id=creatives[1].id).update(clicked_at=timezone.now())
        first, second = experiment_report(experiment)
        assert first["readers"] + second["readers"] == 80
        assert first["impressions"] + second["impressions"] == 120
        assert first["spend_micros"] + second["spend_micros"] == 120 * 2_000
    assert (first["ctr"], second["ctr"]) == (0.0, 1.0)
    assert second["difference"] == 1.0
    assert second["is_certain"]
    answer = api.get(f"ads/experiments/{experiment.id}/report").json()
    assert answer["arms"][1]["difference_interval"] == second["difference_interval"]
