"""An advertiser's own people, and those of the business: what they see and click counts for nothing.

Their ids are kept as those of all subjects are, as pseudonyms beside the vault; networks stand with the advertiser.
Addresses of readers are compared and never stored.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import QuerySet

from apps.ads.campaigns.models import BUSINESS, AdChange, Advertiser, ObjectKind
from apps.ads.campaigns.selectors import changes_of
from apps.ads.campaigns.services import locked, store
from apps.ads.tracking.models import OwnSubject
from apps.ads.tracking.traffic import is_within
from behavior.judging import SUBJECT_IDS
from behavior.selectors import PERSON, person_values
from behavior.subjects import read_subject, remember, seal_unknown
from tenancy.scope import current_tenant_id
from tenancy.secrets import subject_key

MOST_OWN_SUBJECTS = 10_000
# Networks of the advertiser of a flight, and whether a person is one of its people or of the business.
OWN_OF_FLIGHT = f"""
    SELECT coalesce(array(SELECT jsonb_array_elements_text(advertiser.own_networks)), ARRAY[]::text[]), EXISTS (
        SELECT 1 FROM {PERSON} JOIN ads_ownsubject AS own ON own.tenant_id = advertiser.tenant_id
            AND own.subject_key = person.key AND coalesce(own.advertiser_id, advertiser.id) = advertiser.id)
    FROM ads_flight AS flight
        JOIN ads_campaign AS campaign ON campaign.tenant_id = flight.tenant_id AND campaign.id = flight.campaign_id
        JOIN ads_advertiser AS advertiser
            ON advertiser.tenant_id = flight.tenant_id AND advertiser.id = campaign.advertiser_id
    WHERE flight.tenant_id = %s AND flight.id = %s"""


def is_own(flight_id: UUID, subject_key: bytes | None, address: str) -> bool:
    """Whether a visitor belongs to the flight's advertiser or to the business, by subject or by the advertiser's
    networks."""
    keys = [] if subject_key is None else [bytes(subject_key)]
    with connection.cursor() as cursor:
        cursor.execute(OWN_OF_FLIGHT, [*person_values(keys), current_tenant_id(), flight_id])
        networks, is_person = cursor.fetchone()
    return bool(is_person) or is_within(address, [ipaddress.ip_network(each, strict=False) for each in networks])


@transaction.atomic
def put_own_subjects(
    *, advertiser_id: UUID | None, subjects: Sequence[Mapping[str, str]], actor: str, person: str = ""
) -> int:
    """Replace an advertiser's own people, or with None those of the business, who are nobody's readers; how many there
    are. Each of `subjects` holds user_id, anonymous_id or both. The history keeps who did it, and how many there were
    and are; `person` is the member behind an API key.

    Raises Advertiser.DoesNotExist, Archived, BadSubject, and ValidationError for too many.
    """
    if len(subjects) > MOST_OWN_SUBJECTS:
        raise ValidationError({"subjects": f"at most {MOST_OWN_SUBJECTS:,}; there are {len(subjects):,}"})
    advertiser = _locked(advertiser_id)
    for subject in subjects:
        read_subject(dict(subject))
    named = {
        (kind, subject[kind]): subject_key(kind, subject[kind])
        for subject in subjects
        for kind in SUBJECT_IDS
        if kind in subject
    }
    # Somebody of whom nothing was received yet is kept too, and in the vault, so that an erasure finds them.
    identities = {
        kind: {raw: f"\\x{key.hex()}" for (each, raw), key in named.items() if each == kind} for kind in SUBJECT_IDS
    }
    remember(seal_unknown(identities))
    keys = sorted(set(named.values()))
    before = own_subjects(advertiser_id).count()
    own_subjects(advertiser_id).delete()
    OwnSubject.objects.bulk_create([OwnSubject(advertiser_id=advertiser_id, subject_key=key) for key in keys])
    _keep_change(advertiser, before=before, after=len(keys), actor=actor, person=person)
    return len(keys)


def _locked(advertiser_id: UUID | None) -> Advertiser | None:
    """Until the commit nobody else replaces the same list."""
    if advertiser_id is not None:
        return locked(Advertiser, advertiser_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext('own people'))", [current_tenant_id()])
    return None


def _keep_change(advertiser: Advertiser | None, *, before: int, after: int, actor: str, person: str) -> None:
    counts = {"own_people": before}, {"own_people": after}
    if advertiser is not None:
        store(advertiser, AdChange.Action.PEOPLE, actor, *counts, person=person)
        return
    AdChange.objects.create(
        kind=ObjectKind.BUSINESS,
        object_id=BUSINESS,
        version=changes_of(BUSINESS).count() + 1,
        action=AdChange.Action.PEOPLE,
        actor=actor,
        person=person,
        before=counts[0],
        after=counts[1],
    )


def own_subjects(advertiser_id: UUID | None) -> QuerySet[OwnSubject]:
    """An advertiser's own people, or with None those of the business."""
    if advertiser_id is None:
        return OwnSubject.objects.filter(advertiser__isnull=True)
    return OwnSubject.objects.filter(advertiser_id=advertiser_id)
