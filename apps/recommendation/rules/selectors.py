"""Reads of rules and their history."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.recommendation.models import Rule, RuleChange, RuleStatus
from apps.recommendation.selectors import scenarios
from catalog.filter_services import Use


def rules(status: str | None = None) -> QuerySet[Rule]:
    """Rules of this status; without one all that are not removed."""
    if status is None:
        return Rule.objects.filter(removed_at=None)
    return Rule.objects.filter(of_status(status))


def of_status(status: str) -> Q:
    now = timezone.now()
    removed, published = Q(removed_at__isnull=False), Q(removed_at=None, is_active=True)
    ended = Q(ends_at__isnull=False, ends_at__lte=now)
    scheduled = Q(starts_at__isnull=False, starts_at__gt=now)
    return {
        RuleStatus.REMOVED.value: removed,
        RuleStatus.DRAFT.value: Q(removed_at=None, is_active=False),
        RuleStatus.ENDED.value: published & ended,
        RuleStatus.SCHEDULED.value: published & ~ended & scheduled,
        RuleStatus.LIVE.value: published & ~ended & ~scheduled,
    }[status]


def changes_of(rule_id: UUID) -> QuerySet[RuleChange]:
    """The rule's history, newest first."""
    return RuleChange.objects.filter(rule_id=rule_id)


def differences(change: RuleChange) -> list[dict[str, Any]]:
    """{name, before, after} of each field that the change touched, by name."""
    before = change.before or {}
    return [
        {"name": name, "before": before.get(name), "after": value}
        for name, value in sorted(change.after.items())
        if name not in before or before[name] != value
    ]


def filter_uses() -> Iterable[Use]:
    """Where this application keeps filter expressions."""
    for key, target in Rule.objects.filter(removed_at=None, target__isnull=False).values_list("key", "target"):
        yield Use(f"rule '{key}'", target)
    for key, settings in scenarios().values_list("key", "settings"):
        if isinstance(settings, dict) and settings.get("filter"):
            yield Use(f"scenario '{key}'", settings["filter"])
