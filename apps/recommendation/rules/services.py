"""Writes of rules. Each one leaves a row in the rule's history, in the same transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.text import slugify

from apps.recommendation.models import Rule, RuleAction, RuleChange
from apps.recommendation.rules.book import forget_published_rules
from apps.recommendation.rules.kinds import check_rule

# What an operator edits; a history row holds these, and whether the rule was published or removed.
FIELDS = (
    "name",
    "kind",
    "scenarios",
    "target",
    "values",
    "condition",
    "starts_at",
    "ends_at",
    "priority",
    "notes",
)
TIMES = ("starts_at", "ends_at")
MOST_RULES = 1_000
# Each published rule with a target is one more condition that is looked up with every candidate.
MOST_PUBLISHED = 100


class RuleRemoved(Exception):
    """The rule has been removed; only restoring a version brings it back."""


@transaction.atomic
def create_rule(*, actor: str, key: str = "", **fields: Any) -> Rule:
    """A draft. Without a key it gets one from its name. Raises ValidationError that names each field at fault."""
    if Rule.objects.filter(removed_at=None).count() >= MOST_RULES:
        raise ValidationError({"name": f"there are {MOST_RULES} rules already; remove some first"})
    rule = Rule(key=key or _free_key(fields["name"]), created_by=actor, **fields)
    check(rule)
    if key and Rule.objects.filter(key=key).exists():
        raise ValidationError({"key": f"'{key}' is or was the key of another rule; choose another one"})
    return _store(rule, RuleAction.CREATED, actor, before=None)


@transaction.atomic
def change_rule(*, rule_id: UUID, actor: str, changes: Mapping[str, Any]) -> Rule:
    """Change the named fields; a published rule acts by them at once.

    Raises Rule.DoesNotExist, RuleRemoved and ValidationError.
    """
    rule = _locked(rule_id)
    before = snapshot(rule)
    for name, value in changes.items():
        setattr(rule, name, value)
    check(rule)
    return rule if snapshot(rule) == before else _store(rule, RuleAction.CHANGED, actor, before)


@transaction.atomic
def publish_rule(*, rule_id: UUID, actor: str) -> Rule:
    """Let the rule act within its schedule. Raises Rule.DoesNotExist, RuleRemoved and ValidationError."""
    rule = _locked(rule_id)
    if rule.is_active:
        return rule
    check(rule)
    if rule.ends_at and rule.ends_at <= timezone.now():
        raise ValidationError({"ends_at": "has passed; choose a later end, or none, before you publish"})
    if Rule.objects.filter(is_active=True, removed_at=None).count() >= MOST_PUBLISHED:
        raise ValidationError({"is_active": f"{MOST_PUBLISHED} rules are published already; unpublish one first"})
    before = snapshot(rule)
    rule.is_active = True
    return _store(rule, RuleAction.PUBLISHED, actor, before)


@transaction.atomic
def unpublish_rule(*, rule_id: UUID, actor: str) -> Rule:
    """Make the rule a draft again. Raises Rule.DoesNotExist and RuleRemoved."""
    rule = _locked(rule_id)
    if not rule.is_active:
        return rule
    before = snapshot(rule)
    rule.is_active = False
    return _store(rule, RuleAction.UNPUBLISHED, actor, before)


@transaction.atomic
def remove_rule(*, rule_id: UUID, actor: str) -> Rule:
    """Take the rule out of all lists; its history stays. Raises Rule.DoesNotExist and RuleRemoved."""
    rule = _locked(rule_id)
    before = snapshot(rule)
    rule.is_active, rule.removed_at = False, timezone.now()
    return _store(rule, RuleAction.REMOVED, actor, before)


@transaction.atomic
def restore_rule(*, rule_id: UUID, version: int, actor: str) -> Rule:
    """Give the rule the contents that it had at a version. It stays published or not; a removed one becomes a draft.

    Raises Rule.DoesNotExist, RuleChange.DoesNotExist, and ValidationError where the contents cannot be used any more.
    """
    rule = Rule.objects.select_for_update().get(id=rule_id)
    contents = RuleChange.objects.get(rule=rule, version=version).after
    before = snapshot(rule)
    for name in FIELDS:
        setattr(rule, name, _read_time(contents[name]) if name in TIMES else contents[name])
    rule.removed_at = None
    check(rule)
    return rule if snapshot(rule) == before else _store(rule, RuleAction.RESTORED, actor, before)


def snapshot(rule: Rule) -> dict[str, Any]:
    """The rule's contents as JSON."""
    contents = {name: getattr(rule, name) for name in FIELDS}
    contents |= {name: contents[name].isoformat() if contents[name] else None for name in TIMES}
    return contents | {"is_active": rule.is_active, "is_removed": rule.removed_at is not None}


def check(rule: Rule) -> None:
    """Raises ValidationError that names each field at fault."""
    rule.clean_fields(exclude={"created_by", "updated_by"})
    check_rule(
        kind=rule.kind,
        target=rule.target,
        values=rule.values,
        condition=rule.condition,
        starts_at=rule.starts_at,
        ends_at=rule.ends_at,
    )


def _locked(rule_id: UUID) -> Rule:
    rule = Rule.objects.select_for_update().get(id=rule_id)
    if rule.removed_at:
        raise RuleRemoved(f"the rule '{rule.key}' has been removed; restore a version of it first")
    return rule


def _store(rule: Rule, action: RuleAction, actor: str, before: dict[str, Any] | None) -> Rule:
    rule.version += 1
    rule.updated_by = actor
    rule.save()
    RuleChange.objects.create(
        rule=rule, version=rule.version, action=action, actor=actor, before=before, after=snapshot(rule)
    )
    forget_published_rules()
    return rule


def _free_key(name: str) -> str:
    base = slugify(name)[:40] or "rule"
    taken = set(Rule.objects.filter(key__startswith=base).values_list("key", flat=True))
    numbered = (f"{base}-{number}" for number in range(2, len(taken) + 3))
    return base if base not in taken else next(key for key in numbered if key not in taken)


def _read_time(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None
