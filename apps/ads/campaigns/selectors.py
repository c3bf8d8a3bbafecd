"""Reads of objects and their history."""

from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.ads.campaigns.models import AdChange, AdObject, Flight

Found = TypeVar("Found", bound=AdObject)
MOST_NAMED = 5


def objects_of(model: type[Found], **conditions: Any) -> QuerySet[Found]:
    """What is not archived and meets the conditions; those that are None ask for nothing."""
    wanted = {name: value for name, value in conditions.items() if value is not None}
    return model._default_manager.filter(archived_at=None, **wanted)


def flights_naming(audience: str) -> list[str]:
    """Names of some flights that may serve, now or later, and whose targeting asks for an audience, by its key."""
    included = Q(targeting__include__audiences__contains=[audience])
    excluded = Q(targeting__exclude__audiences__contains=[audience])
    usable = Flight.objects.filter(
        included | excluded, archived_at=None, campaign__archived_at=None, campaign__advertiser__archived_at=None
    )
    return list(usable.order_by("name").values_list("name", flat=True)[:MOST_NAMED])


def changes_of(object_id: UUID) -> QuerySet[AdChange]:
    """An object's history, newest first."""
    return AdChange.objects.filter(object_id=object_id)


def differences(change: AdChange) -> list[dict[str, Any]]:
    """{name, before, after} of each field that the change touched, by name."""
    before = change.before or {}
    return [
        {"name": name, "before": before.get(name), "after": value}
        for name, value in sorted(change.after.items())
        if name not in before or before[name] != value
    ]
