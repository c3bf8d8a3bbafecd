"""Reads of rules and their history."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.risk.rules.models import RiskRule, RiskRuleChange


def rules(mode: str | None = None) -> QuerySet[RiskRule]:
    """Rules in this mode, without one in any; removed ones are left out."""
    found = RiskRule.objects.filter(removed_at=None)
    return found.filter(mode=mode) if mode else found


def changes_of(rule_id: UUID) -> QuerySet[RiskRuleChange]:
    """The rule's history, newest first."""
    return RiskRuleChange.objects.filter(rule_id=rule_id)


def differences(change: RiskRuleChange) -> list[dict[str, Any]]:
    """{name, before, after} of each field that the change touched, by name."""
    before = change.before or {}
    return [
        {"name": name, "before": before.get(name), "after": value}
        for name, value in sorted(change.after.items())
        if name not in before or before[name] != value
    ]
