"""Writes of rules. Each one leaves a row in the rule's history, in the same transaction."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from apps.recommendation.models import Rule, RuleAction, RuleChange
from apps.recommendation.rules.book import forget_published_rules
from apps.recommendation.rules.kinds import check_rule
from decisions.rule_editing import RuleEditor, check_not_over

# What an operator edits.
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
# Each published rule with a target is one more condition that is looked up with every candidate.
MOST_PUBLISHED = 100


def create_rule(*, actor: str, key: str = "", **fields: Any) -> Rule:
    """A draft. Without a key it gets one from its name. Raises ValidationError that names each field at fault."""
    return EDITOR.create(actor=actor, key=key, **fields)


def change_rule(*, rule_id: UUID, actor: str, changes: Mapping[str, Any], version: int | None = None) -> Rule:
    """Change the named fields; a published rule acts by them at once.

    `version` is the one that was seen. Raises Rule.DoesNotExist, RuleRemoved, RuleChanged and ValidationError.
    """
    return EDITOR.change(rule_id=rule_id, actor=actor, changes=changes, version=version)


def publish_rule(*, rule_id: UUID, actor: str) -> Rule:
    """Let the rule act within its schedule. Raises Rule.DoesNotExist, RuleRemoved and ValidationError."""
    return EDITOR.move(
        rule_id=rule_id, to={"is_active": True}, action=RuleAction.PUBLISHED, actor=actor, check=_check_publishable
    )


def unpublish_rule(*, rule_id: UUID, actor: str) -> Rule:
    """Make the rule a draft again. Raises Rule.DoesNotExist and RuleRemoved."""
    return EDITOR.move(rule_id=rule_id, to=EDITOR.draft, action=RuleAction.UNPUBLISHED, actor=actor)


def remove_rule(*, rule_id: UUID, actor: str) -> Rule:
    """Take the rule out of all lists; its history stays. Raises Rule.DoesNotExist and RuleRemoved."""
    return EDITOR.remove(rule_id=rule_id, actor=actor)


def restore_rule(*, rule_id: UUID, version: int, actor: str) -> Rule:
    """Give the rule the contents that it had at a version. It stays published or not; a removed one becomes a draft.

    Raises Rule.DoesNotExist, RuleChange.DoesNotExist, and ValidationError where the contents cannot be used any more.
    """
    return EDITOR.restore(rule_id=rule_id, version=version, actor=actor)


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


def _check_publishable(rule: Rule) -> None:
    check(rule)
    check_not_over(rule)
    if Rule.objects.filter(is_active=True, removed_at=None).count() >= MOST_PUBLISHED:
        raise ValidationError({"is_active": f"{MOST_PUBLISHED} rules are published already; unpublish one first"})


EDITOR = RuleEditor(
    rules=Rule,
    changes=RuleChange,
    fields=FIELDS,
    draft={"is_active": False},
    check=check,
    stored=forget_published_rules,
)
