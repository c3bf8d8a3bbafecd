"""Writes of audiences: whose list the seed is, builds asked for, run by a worker, due again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from celery import signature
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.ads.audiences.building import CannotBuild, Members, build, store_members
from apps.ads.audiences.models import (
    UNDER_WAY,
    Audience,
    AudienceBuild,
    AudienceMember,
    AudienceSeed,
    BuildStatus,
    SeedKind,
)
from apps.ads.audiences.selectors import seed_count
from apps.ads.campaigns.models import AdChange
from apps.ads.campaigns.services import locked, store
from behavior.subjects import Subject
from serving.schedules import EVERY
from tenancy.scope import current_tenant_id
from tenancy.tasks import enqueue, task_scope

log = structlog.get_logger(__name__)

ACTOR = "refresh on schedule"
MOST_LISTED = 10_000
SILENT = timedelta(hours=2)
LEFT = "no worker ended it within two hours; start it again"
# A queue may be long, so a build that waits is announced again and again, and never given up.
UNHEARD = timedelta(minutes=5)
ANNOUNCED_FOR = timedelta(hours=1)
KNOWN = """
    INSERT INTO ads_audienceseed (tenant_id, audience_id, subject_key)
    SELECT tenant_id, %(audience)s, subject_key FROM behavior_subjectidentity
    WHERE tenant_id = %(tenant)s AND subject_key = ANY(%(keys)s::bytea[]) ON CONFLICT DO NOTHING"""


class BuildUnderWay(Exception):
    """One build of an audience at a time."""


@transaction.atomic
def put_seed(*, audience_id: UUID, subjects: Sequence[Subject], actor: str, person: str = "") -> int:
    """Replace the list that an audience starts from; how many of the subjects are known. Others are not kept. The
    history keeps who did it, and how many there were and are; `person` is the member behind an API key.

    Raises Audience.DoesNotExist, Archived, and ValidationError for an audience whose seed is no list.
    """
    audience = locked(Audience, audience_id)
    if audience.seed_kind != SeedKind.LIST:
        raise ValidationError({"subjects": "belong to an audience whose seed_kind is list"})
    before = seed_count(audience.id)
    AudienceSeed.objects.filter(audience_id=audience.id).delete()
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "audience": audience.id,
        "keys": [subject.key for subject in subjects],
    }
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, values)
        known = cursor.rowcount
    store(audience, AdChange.Action.SEED, actor, before={"seed": before}, after={"seed": known}, person=person)
    return known


@transaction.atomic
def request_build(*, audience_id: UUID, actor: str) -> AudienceBuild:
    """Queue a build. Raises Audience.DoesNotExist, Archived and BuildUnderWay."""
    audience = locked(Audience, audience_id)
    try:
        with transaction.atomic():
            made = AudienceBuild.objects.create(audience=audience, requested_by=actor)
    except IntegrityError as error:
        raise BuildUnderWay(f"the audience '{audience.key}' is being built already; wait for it to end") from error
    _announce(made.id)
    return made


def run_build(build_id: UUID) -> None:
    """Work on a queued build; nothing happens when it is not queued any more."""
    with task_scope():
        taken = AudienceBuild.objects.filter(id=build_id, status=BuildStatus.QUEUED).update(
            status=BuildStatus.RUNNING, started_at=timezone.now()
        )
        found = AudienceBuild.objects.select_related("audience").get(id=build_id)
    if not taken:
        return
    try:
        members = build(found.audience)
        with task_scope():
            succeed(build_id, members)
    except Exception as error:
        if not isinstance(error, CannotBuild):
            log.exception("audience_not_built", build=str(build_id))
        told = str(error) if isinstance(error, CannotBuild) else f"{type(error).__name__}: {error}"
        with task_scope():
            _end(build_id, status=BuildStatus.FAILED, error=told)


def succeed(build_id: UUID, members: Members) -> None:
    """Put the members in place and end their build; nothing happens where the build was given up meanwhile."""
    if _end(build_id, status=BuildStatus.SUCCEEDED):
        AudienceBuild.objects.filter(id=build_id).update(report=store_members(members).to_dict())


def tend() -> None:
    """Start the builds that are due, announce again what waits, since its message may be lost, fail what a worker has
    left, and forget the subjects of archived audiences."""
    now = timezone.now()
    unheard = AudienceBuild.objects.filter(status=BuildStatus.QUEUED, created_at__lt=now - UNHEARD)
    for build_id in unheard.values_list("id", flat=True):
        _announce(build_id)
    silent = AudienceBuild.objects.filter(status=BuildStatus.RUNNING, started_at__lt=now - SILENT)
    silent.update(status=BuildStatus.FAILED, error=LEFT, finished_at=now)
    archived = list(Audience.objects.exclude(archived_at=None).values_list("id", flat=True))
    for model in (AudienceMember, AudienceSeed):
        model._default_manager.filter(audience_id__in=archived).delete()
    for audience in Audience.objects.filter(archived_at=None, refresh__in=EVERY):
        last = AudienceBuild.objects.filter(audience=audience).first()
        # The first one is asked for by whoever has set the audience up.
        if last is not None and last.status not in UNDER_WAY and last.created_at + EVERY[audience.refresh] <= now:
            request_build(audience_id=audience.id, actor=ACTOR)


def _announce(build_id: UUID) -> None:
    """A worker takes what is queued, so that a second message does nothing."""
    enqueue(
        signature("ads.build_audience", queue="train", expires=ANNOUNCED_FOR.total_seconds()), build_id=str(build_id)
    )


def _end(build_id: UUID, **values: Any) -> bool:
    """Whether it was still running."""
    running = AudienceBuild.objects.filter(id=build_id, status=BuildStatus.RUNNING)
    return running.update(finished_at=timezone.now(), **values) > 0
