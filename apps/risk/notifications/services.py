"""Writes of digests."""

from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.risk.notifications.models import Digest
from tenancy.models import Membership


def subscribe(*, membership: Membership, email: str, hour: int) -> Digest:
    """Have the digest sent to a member each day; the first time when that hour comes next.

    Raises ValidationError for an hour that no day has.
    """
    if not 0 <= hour < 24:
        raise ValidationError({"hour": "must be from 0 to 23"})
    now = timezone.now()
    digest, _ = Digest.objects.update_or_create(
        membership=membership,
        defaults={"email": email, "hour": hour},
        create_defaults={"email": email, "hour": hour, "sent_on": now.date() if hour <= now.hour else None},
    )
    return digest


def unsubscribe(*, digest_id: UUID) -> None:
    Digest.objects.filter(id=digest_id).delete()
