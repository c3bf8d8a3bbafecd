"""Reads of audiences: who belongs to which, and how they were found."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from apps.ads.audiences.models import Audience, AudienceBuild, AudienceMember, AudienceSeed, BuildStatus, SeedKind
from behavior.clock import to_micros
from behavior.selectors import PERSON, person_values
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

OF_PERSON = f"""
    SELECT DISTINCT audience.key FROM {PERSON}
        JOIN ads_audiencemember AS member ON member.tenant_id = %s AND member.subject_key = person.key
        JOIN ads_audience AS audience ON audience.tenant_id = member.tenant_id AND audience.id = member.audience_id
    WHERE audience.archived_at IS NULL ORDER BY audience.key"""
MEMBERS_AMONG = """
    SELECT subject.key, audience.key FROM unnest(%(keys)s::bytea[]) AS subject(key)
        CROSS JOIN LATERAL behavior_person(%(tenant)s, ARRAY[subject.key]) AS person
        JOIN ads_audiencemember AS member ON member.tenant_id = %(tenant)s AND member.subject_key = person.key
        JOIN ads_audience AS audience ON audience.tenant_id = %(tenant)s AND audience.id = member.audience_id
    WHERE audience.archived_at IS NULL"""
# The first of each kind counts: what led to it is what is looked for.
SEED_BY_EVENT = """
    SELECT encode(subject_key, 'hex'), min(occurred_at) FROM behavior_event
    WHERE tenant_id = %(tenant)s AND received_at >= %(since)s AND occurred_at >= %(since)s AND type = %(type)s
        AND (%(flight)s::text IS NULL OR properties ->> 'flight' = %(flight)s::text)
    GROUP BY subject_key ORDER BY 1"""
LAST_MOMENT = 2**62  # microseconds; whatever a subject of a list ever did counts


def audiences_of_subject(subject_keys: Sequence[bytes]) -> list[str]:
    """Keys of the audiences that a person belongs to; `subject_keys` as `Subject.keys` gives them."""
    with prepared_cursor() as cursor:
        cursor.execute(OF_PERSON, [*person_values(subject_keys), current_tenant_id()])
        return [key for (key,) in cursor.fetchall()]


def audiences_of_subjects(subject_keys: Collection[bytes]) -> dict[bytes, list[str]]:
    """The same for many persons, each named by one key; one statement. Those in no audience are left out."""
    found: dict[bytes, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(MEMBERS_AMONG, {"tenant": current_tenant_id(), "keys": list(subject_keys)})
        for subject, audience in cursor.fetchall():
            found.setdefault(bytes(subject), []).append(audience)
    return found


def unknown_audiences(keys: Collection[str]) -> list[str]:
    """Those of the keys that name no audience, or an archived one."""
    known = set(Audience.objects.filter(key__in=keys, archived_at=None).values_list("key", flat=True))
    return sorted(set(keys) - known)


def seeds_of(audience: Audience, since: datetime) -> tuple[list[str], list[int]]:
    """(hexadecimal keys of the seed's subjects, when each became one, in microseconds)."""
    if audience.seed_kind == SeedKind.LIST:
        keys = AudienceSeed.objects.filter(audience_id=audience.id).values_list("subject_key", flat=True)
        found = [bytes(key).hex() for key in keys]
        return found, [LAST_MOMENT] * len(found)
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "since": since,
        "type": audience.seed_event,
        "flight": str(audience.seed_flight_id) if audience.seed_flight_id else None,
    }
    with connection.cursor() as cursor:
        cursor.execute(SEED_BY_EVENT, values)
        rows = cursor.fetchall()
    return [key for key, _ in rows], [to_micros(moment) for _, moment in rows]


def builds_of(audience_id: UUID) -> QuerySet[AudienceBuild]:
    """Newest first."""
    return AudienceBuild.objects.filter(audience_id=audience_id)


def last_success(audience_id: UUID) -> AudienceBuild | None:
    """The build that its members are of."""
    return builds_of(audience_id).filter(status=BuildStatus.SUCCEEDED).first()


def member_count(audience_id: UUID) -> int:
    return AudienceMember.objects.filter(audience_id=audience_id).count()


def seed_count(audience_id: UUID) -> int:
    return AudienceSeed.objects.filter(audience_id=audience_id).count()
