"""Writes of rules. Each one leaves a row in the rule's history, in the same transaction."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from apps.risk.lists.models import EntityList
from apps.risk.rules.evaluation import forget_published_book
from apps.risk.rules.fields import read_expression
from apps.risk.rules.language.syntax import ExpressionError, InList, Node, walk
from apps.risk.rules.models import RiskRule, RiskRuleChange, RiskRuleMode
from decisions.rule_editing import RuleEditor, check_not_over

# What the desk edits.
FIELDS = ("name", "description", "expression", "action", "severity", "priority", "starts_at", "ends_at")
# Each of them is asked of every transaction.
MOST_PUBLISHED = 200
Action = RiskRuleChange.Action
ACTION_OF_MODE = {
    RiskRuleMode.LIVE: Action.PUBLISHED,
    RiskRuleMode.SHADOW: Action.SHADOWED,
    RiskRuleMode.DRAFT: Action.UNPUBLISHED,
}


def create_rule(*, actor: str, key: str = "", **fields: Any) -> RiskRule:
    """A draft. Without a key it gets one from its name. Raises ValidationError that names each field at fault."""
    return EDITOR.create(actor=actor, key=key, **fields)


def change_rule(*, rule_id: UUID, actor: str, changes: Mapping[str, Any], version: int | None = None) -> RiskRule:
    """Change the named fields; a live rule judges by them within a second or two.

    `version` is the one that was seen. Raises RiskRule.DoesNotExist, RuleRemoved, RuleChanged and ValidationError.
    """
    return EDITOR.change(rule_id=rule_id, actor=actor, changes=changes, version=version)


def set_mode(*, rule_id: UUID, mode: RiskRuleMode, actor: str) -> RiskRule:
    """Make the rule a draft, a shadow or live. Raises RiskRule.DoesNotExist, RuleRemoved and ValidationError."""
    publishable = None if mode == RiskRuleMode.DRAFT else _check_publishable
    return EDITOR.move(rule_id=rule_id, to={"mode": mode}, action=ACTION_OF_MODE[mode], actor=actor, check=publishable)


def remove_rule(*, rule_id: UUID, actor: str) -> RiskRule:
    """The rule judges nothing any more; its history stays. Raises RiskRule.DoesNotExist and RuleRemoved."""
    return EDITOR.remove(rule_id=rule_id, actor=actor)


def restore_rule(*, rule_id: UUID, version: int, actor: str) -> RiskRule:
    """Give the rule the contents that it had at a version. It keeps its mode; a removed one becomes a draft.

    Raises RiskRule.DoesNotExist, RiskRuleChange.DoesNotExist, and ValidationError where the contents cannot be used
    any more.
    """
    return EDITOR.restore(rule_id=rule_id, version=version, actor=actor)


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
    check_not_over(rule)
    published = RiskRule.objects.filter(removed_at=None).exclude(mode=RiskRuleMode.DRAFT).exclude(id=rule.id)
    if published.count() >= MOST_PUBLISHED:
        raise ValidationError({"mode": f"{MOST_PUBLISHED} rules are live or in shadow already; unpublish one first"})


EDITOR = RuleEditor(
    rules=RiskRule,
    changes=RiskRuleChange,
    fields=FIELDS,
    draft={"mode": RiskRuleMode.DRAFT},
    check=check,
    stored=forget_published_book,
)
