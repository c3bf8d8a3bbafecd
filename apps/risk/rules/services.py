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

from apps.risk.lists.models import EntityList
from apps.risk.rules.evaluation import forget_published_book
from apps.risk.rules.fields import read_expression
from apps.risk.rules.language.syntax import ExpressionError, InList, Node, walk
from apps.risk.rules.models import RiskRule, RiskRuleChange, RiskRuleMode

# What the desk edits; a history row holds these, and the rule's mode and whether it was removed.
FIELDS = ("name", "description", "expression", "action", "severity", "priority", "starts_at", "ends_at")
TIMES = ("starts_at", "ends_at")
MOST_RULES = 1_000
# Each of them is asked of every transaction.
MOST_PUBLISHED = 200
Action = RiskRuleChange.Action
ACTION_OF_MODE = {
    RiskRuleMode.LIVE: Action.PUBLISHED,
    RiskRuleMode.SHADOW: Action.SHADOWED,
    RiskRuleMode.DRAFT: Action.UNPUBLISHED,
}


class RuleRemoved(Exception):
    """The rule has been removed; only restoring a version brings it back."""


@transaction.atomic
def create_rule(*, actor: str, key: str = "", **fields: Any) -> RiskRule:
    """A draft. Without a key it gets one from its name. Raises ValidationError that names each field at fault."""
    if RiskRule.objects.filter(removed_at=None).count() >= MOST_RULES:
        raise ValidationError({"name": f"there are {MOST_RULES} rules already; remove some first"})
    rule = RiskRule(key=key or _free_key(fields["name"]), created_by=actor, **fields)
    check(rule)
    if key and RiskRule.objects.filter(key=key).exists():
        raise ValidationError({"key": f"'{key}' is or was the key of another rule; choose another one"})
    return _store(rule, Action.CREATED, actor, before=None)


@transaction.atomic
def change_rule(*, rule_id: UUID, actor: str, changes: Mapping[str, Any]) -> RiskRule:
    """Change the named fields; a live rule judges by them within a second or two.

    Raises RiskRule.DoesNotExist, RuleRemoved and ValidationError.
    """
    rule = _locked(rule_id)
    before = snapshot(rule)
    for name, value in changes.items():
        setattr(rule, name, value)
    check(rule)
    return rule if snapshot(rule) == before else _store(rule, Action.CHANGED, actor, before)


@transaction.atomic
def set_mode(*, rule_id: UUID, mode: RiskRuleMode, actor: str) -> RiskRule:
    """Make the rule a draft, a shadow or live. Raises RiskRule.DoesNotExist, RuleRemoved and ValidationError."""
    rule = _locked(rule_id)
    if rule.mode == mode:
        return rule
    if mode != RiskRuleMode.DRAFT:
        _check_publishable(rule)
    before = snapshot(rule)
    rule.mode = mode
    return _store(rule, ACTION_OF_MODE[mode], actor, before)


@transaction.atomic
def remove_rule(*, rule_id: UUID, actor: str) -> RiskRule:
    """The rule judges nothing any more; its history stays. Raises RiskRule.DoesNotExist and RuleRemoved."""
    rule = _locked(rule_id)
    before = snapshot(rule)
    rule.mode, rule.removed_at = RiskRuleMode.DRAFT, timezone.now()
    return _store(rule, Action.REMOVED, actor, before)


@transaction.atomic
def restore_rule(*, rule_id: UUID, version: int, actor: str) -> RiskRule:
    """Give the rule the contents that it had at a version. It keeps its mode; a removed one becomes a draft.

    Raises RiskRule.DoesNotExist, RiskRuleChange.DoesNotExist, and ValidationError where the contents cannot be used
    any more.
    """
    rule = RiskRule.objects.select_for_update().get(id=rule_id)
    contents = RiskRuleChange.objects.get(rule=rule, version=version).after
    before = snapshot(rule)
    for name in FIELDS:
        setattr(rule, name, _read_time(contents[name]) if name in TIMES else contents[name])
    rule.removed_at = None
    check(rule)
    return rule if snapshot(rule) == before else _store(rule, Action.RESTORED, actor, before)


def snapshot(rule: RiskRule) -> dict[str, Any]:
    """The rule's contents as JSON."""
    contents = {name: getattr(rule, name) for name in FIELDS}
    contents |= {name: contents[name].isoformat() if contents[name] else None for name in TIMES}
    return contents | {"mode": str(rule.mode), "is_removed": rule.removed_at is not None}


def check(rule: RiskRule) -> None:
    """Raises ValidationError that names each field at fault."""
    rule.clean_fields(exclude={"created_by", "updated_by", "expression"})
    check_expression(rule.expression)
    if rule.starts_at and rule.ends_at and rule.ends_at <= rule.starts_at:
        raise ValidationError({"ends_at": "must come after starts_at"})


def check_expression(text: str) -> Node:
    """The expression, whose lists exist. Raises ValidationError for the field `expression`."""
    try:
        node = read_expression(text)
        _check_lists(node)
    except ExpressionError as error:
        raise ValidationError({"expression": str(error)}) from error
    return node


def _check_lists(node: Node) -> None:
    asked = [each for each in walk(node) if isinstance(each, InList)]
    if not asked:
        return
    known = dict(EntityList.objects.values_list("name", "field"))
    for each in asked:
        if each.list_name not in known:
            named = ", ".join(f"'{name}'" for name in sorted(known)[:5]) or "none yet; make it first"
            raise ExpressionError(each.start + 1, f"there is no list '{each.list_name}'; there are {named}")
        if known[each.list_name] != each.operand.name:
            field = known[each.list_name]
            raise ExpressionError(
                each.operand.start + 1, f"the list '{each.list_name}' holds values of {field}, not {each.operand.name}"
            )


def _check_publishable(rule: RiskRule) -> None:
    check(rule)
    if rule.ends_at and rule.ends_at <= timezone.now():
        raise ValidationError({"ends_at": "has passed; choose a later end, or none, before you publish"})
    published = RiskRule.objects.filter(removed_at=None).exclude(mode=RiskRuleMode.DRAFT).exclude(id=rule.id)
    if published.count() >= MOST_PUBLISHED:
        raise ValidationError({"mode": f"{MOST_PUBLISHED} rules are live or in shadow already; unpublish one first"})


def _locked(rule_id: UUID) -> RiskRule:
    rule = RiskRule.objects.select_for_update().get(id=rule_id)
    if rule.removed_at:
        raise RuleRemoved(f"the rule '{rule.key}' has been removed; restore a version of it first")
    return rule


def _store(rule: RiskRule, action: Action, actor: str, before: dict[str, Any] | None) -> RiskRule:
    rule.version += 1
    rule.updated_by = actor
    rule.save()
    RiskRuleChange.objects.create(
        rule=rule, version=rule.version, action=action, actor=actor, before=before, after=snapshot(rule)
    )
    forget_published_book()
    return rule


def _free_key(name: str) -> str:
    base = slugify(name)[:40] or "rule"
    taken = set(RiskRule.objects.filter(key__startswith=base).values_list("key", flat=True))
    numbered = (f"{base}-{number}" for number in range(2, len(taken) + 3))
    return base if base not in taken else next(key for key in numbered if key not in taken)


def _read_time(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None
