"""Reads of rules and their history."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.recommendation.models import Rule, RuleChange, RuleState
from apps.recommendation.selectors import scenarios
from catalog.filter_services import Use


def rules(state: str | None = None) -> QuerySet[Rule]:
    """Rules in this state; without one all that are not removed."""
    if state is None:
        return Rule.objects.filter(removed_at=None)
    return Rule.objects.filter(in_state(state))


def in_state(state: str) -> Q:
    now = timezone.now()
    removed, published = Q(removed_at__isnull=False), Q(removed_at=None, is_active=True)
    ended = Q(ends_at__isnull=False, ends_at__lte=now)
    scheduled = Q(starts_at__isnull=False, starts_at__gt=now)
    return {
        RuleState.REMOVED.value: removed,
        RuleState.DRAFT.value: Q(removed_at=None, is_active=False),
        RuleState.ENDED.value: published & ended,
        RuleState.SCHEDULED.value: published & ~ended & scheduled,
        RuleState.LIVE.value: published & ~ended & ~scheduled,
    }[state]


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
