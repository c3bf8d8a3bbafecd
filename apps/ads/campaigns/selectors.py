"""Reads of objects and their history."""

from typing import Any, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from apps.ads.campaigns.models import AdChange, AdObject

Found = TypeVar("Found", bound=AdObject)


def objects_of(model: type[Found], **conditions: Any) -> QuerySet[Found]:
    """What is not archived and meets the conditions; those that are None ask for nothing."""
    wanted = {name: value for name, value in conditions.items() if value is not None}
    return model._default_manager.filter(archived_at=None, **wanted)


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
