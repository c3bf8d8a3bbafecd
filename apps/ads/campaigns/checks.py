"""What is refused of each kind of object, with the field named."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.ads.audiences.models import Audience, SeedKind
from apps.ads.audiences.selectors import unknown_audiences
from apps.ads.campaigns.models import (
    EARLIEST,
    LATEST,
    LONGEST_URL,
    AdObject,
    Advertiser,
    BidKind,
    Campaign,
    Creative,
    Flight,
    GoalKind,
    PacingKind,
    Placement,
)
from apps.ads.campaigns.targeting import check_targeting, named_in, normal
from apps.ads.experiments.arms import read_arms, refusal
from apps.ads.experiments.models import Experiment
from apps.ads.settings import problem_of_networks
from behavior.currencies import CURRENCIES

# Fields that the checks below judge, what an object belongs to by its name in the API; and those that nobody sends.
JUDGED_HERE = {"advertiser", "campaign", "flight", "targeting", "own_networks", "arms", "created_by", "updated_by"}
# Events of the log that name a flight.
OF_FLIGHT = ("ad_impression", "ad_click", "ad_conversion")


def check(found: AdObject) -> None:
    """Raises ValidationError that names each field at fault."""
    found.clean_fields(exclude=JUDGED_HERE)
    CHECKS[type(found)](found)


def check_url(field: str, url: str) -> None:
    """An https address with a host, without credentials, that no reader of it can take for another."""
    if problem := _problem_of_url(url):
        raise ValidationError({field: problem})


def _problem_of_url(url: str) -> str | None:
    if len(url) > LONGEST_URL or not url.isascii() or any(each <= " " or each in "\\\x7f" for each in url):
        return f"must have at most {LONGEST_URL} characters, all printable ASCII without spaces or backslashes"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not an address that can be read"
    if parts.scheme != "https" or not host:
        return "must begin with https:// and name a host"
    if "@" in parts.netloc:
        return "must not hold a user name or password"
    return None


def _check_currency(found: Advertiser | Placement) -> None:
    if found.currency not in CURRENCIES:
        raise ValidationError({"currency": "must be an ISO 4217 code in use, such as EUR"})


def _check_advertiser(found: Any) -> None:
    _check_currency(found)
    if problem := problem_of_networks(found.own_networks):
        raise ValidationError({"own_networks": problem})


def _check_campaign(found: Any) -> None:
    _check_parent("advertiser_id", Advertiser, found.advertiser_id)


def _check_flight(found: Any) -> None:
    _check_parent("campaign_id", Campaign, found.campaign_id)
    if not Advertiser.objects.filter(campaigns=found.campaign_id, archived_at=None).exists():
        raise ValidationError({"campaign_id": "is of an advertiser that has been archived; choose another campaign"})
    found.targeting = check_targeting(found.targeting)
    if unknown := unknown_audiences(named_in(found.targeting, "audiences")):
        raise ValidationError({"targeting": f"there is no audience '{unknown[0]}' that is not archived; leave it out"})
    if unknown := _unknown_placements(named_in(found.targeting, "placements")):
        raise ValidationError({"targeting": f"there is no placement '{unknown[0]}'; make it first"})
    problems = {}
    if found.ends_at <= found.starts_at:
        problems["ends_at"] = "must come after starts_at"
    for name in ("starts_at", "ends_at"):
        if not EARLIEST <= getattr(found, name) <= LATEST:
            problems[name] = f"must lie between the years {EARLIEST.year} and {LATEST.year}"
    if found.daily_budget_micros is not None and found.daily_budget_micros > found.budget_micros:
        problems["daily_budget_micros"] = "must not be above budget_micros"
    limit = min(found.budget_micros, found.daily_budget_micros or found.budget_micros)
    if _cost_of_one(found) > limit:
        problems["bid_micros"] = f"one event costs more than the budget of {limit} micro-units; bid less"
    if (found.goal_kind == GoalKind.NONE) != (found.goal is None):
        problems["goal"] = "belongs to a goal_kind: send both or neither"
    if found.goal is not None and found.pacing == PacingKind.ASAP:
        problems["pacing"] = "asap slows for no goal; choose pid or adaptive"
    if found.conversion_event in OF_FLIGHT:
        problems["conversion_event"] = "is what ads write into the log themselves; name what a reader does"
    if problems:
        raise ValidationError(problems)


def _unknown_placements(keys: set[str]) -> list[str]:
    """Those of the keys, which are `normal`, that no placement has, an archived one neither."""
    return sorted(keys - {normal(key) for key in Placement.objects.values_list("key", flat=True)}) if keys else []


def _check_creative(found: Any) -> None:
    _check_parent("flight_id", Flight, found.flight_id)
    check_url("click_url", found.click_url)
    if found.image_url:
        check_url("image_url", found.image_url)
    if not (found.image_url or found.text):
        raise ValidationError({"text": "is empty, and so is image_url; a creative needs one of them"})


def _check_placement(found: Any) -> None:
    _check_currency(found)


def _check_experiment(found: Any) -> None:
    _check_parent("campaign_id", Campaign, found.campaign_id)
    found.arms = read_arms(found.arms)
    now = timezone.now()
    before = Experiment.objects.filter(id=found.id).first()
    fixed = fixed_by_time(before) if before else ()
    if changed := [name for name in fixed if getattr(before, name) != getattr(found, name)]:
        past = "ended" if "ends_at" in fixed else "begun"
        raise ValidationError(dict.fromkeys(changed, f"cannot change once the experiment has {past}; make another"))
    if not fixed:
        # What was shown before now was not split, so none of it counts.
        found.starts_at = max(found.starts_at, now)
    if found.ends_at <= found.starts_at:
        raise ValidationError({"ends_at": "must come after starts_at, and after now"})
    members = {UUID(member) for arm in found.arms for member in arm["members"]}
    of_campaign = Flight.objects.filter(campaign_id=found.campaign_id)
    flights = set(of_campaign.values_list("id", flat=True))
    creatives = dict(Creative.objects.filter(flight__in=of_campaign).values_list("id", "flight_id"))
    if strange := sorted(map(str, members - flights - creatives.keys())):
        raise refusal(f"name {strange[0]}, which is no flight or creative of the campaign")
    if nested := sorted(str(each) for each in members & creatives.keys() if creatives[each] in members):
        raise refusal(f"name the creative {nested[0]} and its flight, which has it already; name one of them")


def fixed_by_time(experiment: Experiment) -> tuple[str, ...]:
    """Fields that change no more: once it has begun what it splits, once it has ended its end too."""
    now = timezone.now()
    if experiment.ends_at <= now:
        return ("arms", "starts_at", "ends_at")
    return ("arms", "starts_at") if experiment.starts_at <= now else ()


def _check_audience(found: Any) -> None:
    if found.key != normal(found.key):
        raise ValidationError({"key": "must be in lower case"})
    if found.seed_kind == SeedKind.LIST:
        if found.seed_event or found.seed_flight_id:
            raise ValidationError({"seed_event": "belongs to an audience whose seed_kind is event"})
        return
    if not found.seed_event:
        raise ValidationError({"seed_event": "is missing: name the event that makes a subject one of the seed"})
    if found.seed_flight_id is None:
        return
    _check_parent("seed_flight_id", Flight, found.seed_flight_id)
    if found.seed_event not in OF_FLIGHT:
        raise ValidationError({"seed_event": f"of a flight must be {', '.join(OF_FLIGHT)}"})


def _check_parent(field: str, model: type[AdObject], parent_id: Any) -> None:
    if not model._default_manager.filter(id=parent_id, archived_at=None).exists():
        kind = model._meta.verbose_name
        raise ValidationError({field: f"there is no {kind} {parent_id} that is not archived"})


def _cost_of_one(flight: Flight) -> int:
    return -(-flight.bid_micros // 1000) if flight.bid_kind == BidKind.CPM else flight.bid_micros


def check_can_start(flight: Flight) -> None:
    """Raises ValidationError where a flight cannot go live: it has ended, or nothing of it is approved."""
    check(flight)
    if flight.ends_at <= timezone.now():
        raise ValidationError({"ends_at": "has passed; choose a later end before the flight goes live"})
    if not flight.creatives.filter(archived_at=None, review="approved").exists():
        raise ValidationError({"creatives": "no creative of the flight is approved; have one reviewed first"})


CHECKS: dict[type[AdObject], Callable[[Any], None]] = {
    Advertiser: _check_advertiser,
    Campaign: _check_campaign,
    Flight: _check_flight,
    Creative: _check_creative,
    Placement: _check_placement,
    Experiment: _check_experiment,
    Audience: _check_audience,
}
