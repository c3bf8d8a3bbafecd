"""Writes of advertisers, campaigns, flights, creatives and placements. Each leaves a row in the history, in the same
transaction, and tells the deciding processes that something changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from apps.ads.audiences.models import Audience
from apps.ads.budgets.services import open_budget
from apps.ads.campaigns.checks import check, check_can_start
from apps.ads.campaigns.models import (
    AdChange,
    AdObject,
    Advertiser,
    Campaign,
    Creative,
    Flight,
    FlightStatus,
    ObjectKind,
    Placement,
    ReviewStatus,
)
from apps.ads.campaigns.selectors import flights_naming
from apps.ads.experiments.models import Experiment
from apps.ads.settings import current_settings
from tenancy.scope import current_tenant_id

Found = TypeVar("Found", bound=AdObject)
Action = AdChange.Action

KINDS: dict[type[AdObject], ObjectKind] = {
    Advertiser: ObjectKind.ADVERTISER,
    Campaign: ObjectKind.CAMPAIGN,
    Flight: ObjectKind.FLIGHT,
    Creative: ObjectKind.CREATIVE,
    Placement: ObjectKind.PLACEMENT,
    Experiment: ObjectKind.EXPERIMENT,
    Audience: ObjectKind.AUDIENCE,
}
# What can be changed of each kind.
FIELDS: dict[type[AdObject], tuple[str, ...]] = {
    Advertiser: ("name", "own_networks"),
    Campaign: ("name",),
    Flight: (
        "name",
        "starts_at",
        "ends_at",
        "bid_kind",
        "bid_micros",
        "budget_micros",
        "daily_budget_micros",
        "pacing",
        "goal_kind",
        "goal",
        "targeting",
        "conversion_event",
        "cap_impressions",
        "cap_hours",
        "recency_seconds",
        "post_click_days",
        "post_view_hours",
    ),
    Creative: ("name", "width", "height", "text", "image_url", "click_url", "quality"),
    Placement: ("name", "width", "height", "floor_micros", "auction"),
    Experiment: ("name", "starts_at", "ends_at", "arms"),
    Audience: ("name", "seed_event", "seed_flight_id", "seed_days", "share", "include_seed", "refresh"),
}
# Fixed when the object is made.
FIXED: dict[type[AdObject], tuple[str, ...]] = {
    Advertiser: ("currency",),
    Campaign: ("advertiser_id",),
    Flight: ("campaign_id",),
    Creative: ("flight_id",),
    Placement: ("key", "currency"),
    Experiment: ("campaign_id",),
    Audience: ("key", "seed_kind"),
}
# Set by services of their own; a history row holds them too.
STATES: dict[type[AdObject], tuple[str, ...]] = {Flight: ("status",), Creative: ("review", "review_note")}
# What is live of an archived object must not look so.
FLIGHTS_OF = {Campaign: "campaign_id", Advertiser: "campaign__advertiser_id"}
REVIEWED = ("width", "height", "text", "image_url", "click_url")
MOST_OF_A_KIND = 10_000
CHANGED = """
    INSERT INTO ads_snapshotversion (tenant_id, name, version) VALUES (%s, 'snapshot', 1)
    ON CONFLICT (tenant_id, name) DO UPDATE SET version = ads_snapshotversion.version + 1"""


class Refused(Exception):
    """Things stand otherwise than the call supposes."""


class Archived(Refused):
    """The object has been archived, and nothing changes it any more."""


class Stale(Refused):
    """The object has changed since it was looked at."""


class InUse(Refused):
    """Flights go by it still."""


class SameEyes(Refused):
    """The settings ask for four eyes, and whoever approves had a hand in the creative."""


@transaction.atomic
def create(model: type[Found], *, actor: str, person: str = "", **fields: Any) -> Found:
    """Make an object; a flight begins as a draft, a creative awaits its review. `person` is the member behind an API
    key, here and below.

    Raises ValidationError that names each field at fault.
    """
    if model._default_manager.filter(archived_at=None).count() >= MOST_OF_A_KIND:
        raise ValidationError({"name": f"there are {MOST_OF_A_KIND:,} of them already; archive some first"})
    made = model(created_by=actor, **fields)
    check(made)
    # Targeting compares keys without regard to case.
    if isinstance(made, Placement | Audience) and model._default_manager.filter(key__iexact=made.key).exists():
        kind = model._meta.verbose_name
        raise ValidationError({"key": f"'{made.key}' is or was the key of another {kind}; choose another one"})
    store(made, Action.CREATED, actor, before=None, person=person)
    if isinstance(made, Flight):
        open_budget(made)
    return made


@transaction.atomic
def change(
    model: type[Found],
    *,
    object_id: UUID,
    actor: str,
    changes: Mapping[str, Any],
    person: str = "",
    version: int | None = None,
) -> Found:
    """Change the named fields. A creative that looks or leads otherwise awaits a new review; a live flight competes by
    its new values within two seconds. `version` is the one that was seen, where the caller says it.

    Raises the model's DoesNotExist, Archived, Stale and ValidationError, also where a budget would fall below what is
    spent or promised already.
    """
    found = locked(model, object_id)
    if version is not None and version != found.version:
        raise Stale(
            f"{found.updated_by} has changed the {KINDS[model].label.lower()} since: it is at version {found.version}, "
            f"not {version}; load it anew, and change it there"
        )
    before = snapshot(found)
    for name, value in changes.items():
        setattr(found, name, value)
    check(found)
    after = snapshot(found)
    if after == before:
        return found
    if isinstance(found, Creative) and _looks_otherwise(before, after):
        found.review, found.review_note = ReviewStatus.PENDING, ""
    store(found, Action.CHANGED, actor, before, person=person)
    if isinstance(found, Flight):
        open_budget(found)
    return found


@transaction.atomic
def archive(model: type[Found], *, object_id: UUID, actor: str) -> Found:
    """The object serves nothing any more, and what is live of it is paused; its history stays.

    Raises the model's DoesNotExist, Archived, and InUse for an audience that flights name: it would have no members, so
    that those who leave it out would be shown to exactly these people.
    """
    found = locked(model, object_id)
    if isinstance(found, Audience) and (names := flights_naming(found.key)):
        shown = ", ".join(f"'{name}'" for name in names)
        raise InUse(f"flights name the audience '{found.key}': {shown}; take it out of their targeting first")
    before = snapshot(found)
    found.archived_at = timezone.now()
    if isinstance(found, Flight):
        found.status = FlightStatus.PAUSED
    store(found, Action.ARCHIVED, actor, before)
    if model in FLIGHTS_OF:
        _pause_flights(actor, **{FLIGHTS_OF[model]: found.id})
    return found


@transaction.atomic
def set_status(*, flight_id: UUID, status: FlightStatus, actor: str) -> Flight:
    """Put a flight live or pause it; decisions follow within two seconds.

    Raises Flight.DoesNotExist, Archived, and ValidationError where it cannot go live.
    """
    flight = locked(Flight, flight_id)
    if flight.status == status:
        return flight
    before = snapshot(flight)
    if status == FlightStatus.LIVE:
        check_can_start(flight)
    flight.status = status
    store(flight, Action.STARTED if status == FlightStatus.LIVE else Action.PAUSED, actor, before)
    return flight


@transaction.atomic
def review(
    *,
    creative_id: UUID,
    approve: bool,
    actor: str,
    person: str = "",
    note: str = "",
    version: int | None = None,
) -> Creative:
    """Somebody's word on a creative; a rejected one needs a note. `version` is the one that was looked at: another is
    not judged by it. Raises Creative.DoesNotExist, Archived, Stale, SameEyes and ValidationError."""
    creative = locked(Creative, creative_id)
    if version is not None and version != creative.version:
        raise Stale("The creative has been changed since you looked at it; look at it again.")
    if approve and current_settings().four_eyes and {actor, person} & _authors(creative):
        raise SameEyes("You had a hand in this creative; somebody else must approve it.")
    if not approve and not note.strip():
        raise ValidationError({"note": "say why, so that the advertiser can mend it"})
    before = snapshot(creative)
    creative.review = ReviewStatus.APPROVED if approve else ReviewStatus.REJECTED
    creative.review_note = note.strip()[:500]
    if snapshot(creative) != before:
        store(creative, Action.APPROVED if approve else Action.REJECTED, actor, before, person=person)
    return creative


def snapshot(found: AdObject) -> dict[str, Any]:
    """The object's contents as JSON."""
    model = type(found)
    names = (*FIXED[model], *FIELDS[model], *STATES.get(model, ()))
    return {name: _plain(getattr(found, name)) for name in names} | {"is_archived": found.archived_at is not None}


def locked(model: type[Found], object_id: UUID) -> Found:
    """The object, which nobody else changes until the commit. Raises the model's DoesNotExist and Archived."""
    found = model._default_manager.select_for_update().get(id=object_id)
    if found.archived_at:
        raise Archived(f"the {KINDS[model].label.lower()} '{found.name}' has been archived")
    return found


def store(
    found: AdObject,
    action: Action,
    actor: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None = None,
    *,
    person: str = "",
) -> None:
    """Save an object as its next version, with a row of the history, and tell the deciding processes; `after` is its
    contents where it is not said."""
    found.version += 1
    found.updated_by = actor
    found.save()
    AdChange.objects.create(
        kind=KINDS[type(found)],
        object_id=found.id,
        version=found.version,
        action=action,
        actor=actor,
        person=person,
        before=before,
        after=snapshot(found) if after is None else after,
    )
    announce_change()


def announce_change() -> None:
    """Tell all deciding processes that what they remember is out of date."""
    with connection.cursor() as cursor:
        cursor.execute(CHANGED, [current_tenant_id()])


def _pause_flights(actor: str, **of: UUID) -> None:
    live = Flight.objects.select_for_update(of=("self",)).filter(status=FlightStatus.LIVE, **of).order_by("id")
    for flight in live:
        before = snapshot(flight)
        flight.status = FlightStatus.PAUSED
        store(flight, Action.PAUSED, actor, before)


def _authors(creative: Creative) -> set[str]:
    """Who made what a creative shows, since it was approved before that; people, and the keys that they used."""
    authors: set[str] = set()
    for change in AdChange.objects.filter(object_id=creative.id).order_by("-version"):
        if change.action == Action.APPROVED and authors:
            break
        if _looks_otherwise(change.before or {}, change.after):
            authors |= {change.actor, change.person}
    return authors - {""}


def _looks_otherwise(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return any(before.get(name) != after[name] for name in REVIEWED)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) or hasattr(value, "label") else value
