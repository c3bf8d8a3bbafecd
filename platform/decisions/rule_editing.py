"""How rules are written, whatever their application: each write leaves a row in the rule's history."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.text import slugify

from decisions.operator_rules import OperatorRule

MOST_RULES = 1_000
TIMES = ("starts_at", "ends_at")

Rule = TypeVar("Rule", bound=OperatorRule)


class RuleRemoved(Exception):
    """The rule has been removed; only restoring a version brings it back."""


class RuleChanged(Exception):
    """Somebody else was faster: the rule is no longer as it was seen."""


@dataclass(frozen=True)
class RuleEditor(Generic[Rule]):
    """The writes of one application's rules.

    `changes` is a subclass of OperatorRuleChange; its fields `rule` and `action` are its own. `fields` are what an
    operator edits; `draft` is what a rule is that has no effect, such as {"is_active": False}. `check` raises
    ValidationError that names each field at fault; `stored` is told of each write.
    """

    rules: type[Rule]
    changes: Any
    fields: tuple[str, ...]
    draft: Mapping[str, Any]
    check: Callable[[Rule], None]
    stored: Callable[[], None]

    @transaction.atomic
    def create(self, *, actor: str, key: str = "", **fields: Any) -> Rule:
        """A draft. Without a key it gets one from its name. Raises ValidationError that names each field at fault."""
        if self.rules._default_manager.filter(removed_at=None).count() >= MOST_RULES:
            raise ValidationError({"name": f"there are {MOST_RULES} rules already; remove some first"})
        rule = self.rules(key=key or self._free_key(fields["name"]), created_by=actor, **fields)
        self.check(rule)
        if key and self.rules._default_manager.filter(key=key).exists():
            raise ValidationError({"key": f"'{key}' is or was the key of another rule; choose another one"})
        return self._store(rule, "created", actor, before=None)

    @transaction.atomic
    def change(self, *, rule_id: UUID, actor: str, changes: Mapping[str, Any], version: int | None = None) -> Rule:
        """Change the named fields. `version` is the one that was seen, where the caller says it.

        Raises DoesNotExist, RuleRemoved, RuleChanged and ValidationError.
        """
        rule = self._locked(rule_id)
        if version is not None and rule.version != version:
            raise RuleChanged(
                f"{rule.updated_by} has changed this rule since: it is at version {rule.version}, not {version}; "
                "load it anew, and change it there"
            )
        before = self.snapshot(rule)
        for name, value in changes.items():
            setattr(rule, name, value)
        self.check(rule)
        return rule if self.snapshot(rule) == before else self._store(rule, "changed", actor, before)

    @transaction.atomic
    def move(
        self,
        *,
        rule_id: UUID,
        to: Mapping[str, Any],
        action: str,
        actor: str,
        check: Callable[[Rule], None] | None = None,
    ) -> Rule:
        """Publish a rule, or make it a draft again: give what `draft` names other values. `check` may refuse it.

        Raises DoesNotExist, RuleRemoved and ValidationError.
        """
        rule = self._locked(rule_id)
        before = self.snapshot(rule)
        if all(getattr(rule, name) == value for name, value in to.items()):
            return rule
        if check is not None:
            check(rule)
        for name, value in to.items():
            setattr(rule, name, value)
        return self._store(rule, action, actor, before)

    @transaction.atomic
    def remove(self, *, rule_id: UUID, actor: str) -> Rule:
        """The rule has no effect any more; its history stays. Raises DoesNotExist and RuleRemoved."""
        rule = self._locked(rule_id)
        before = self.snapshot(rule)
        for name, value in self.draft.items():
            setattr(rule, name, value)
        rule.removed_at = timezone.now()
        return self._store(rule, "removed", actor, before)

    @transaction.atomic
    def restore(self, *, rule_id: UUID, version: int, actor: str) -> Rule:
        """Give the rule the contents that it had at a version. It stays published or not; a removed one becomes a
        draft.

        Raises DoesNotExist of the rule or of the change, and ValidationError for contents that cannot be used any more.
        """
        rule = self.rules._default_manager.select_for_update().get(id=rule_id)
        contents = self.changes._default_manager.get(rule=rule, version=version).after
        before = self.snapshot(rule)
        for name in self.fields:
            setattr(rule, name, _read_time(contents[name]) if name in TIMES else contents[name])
        rule.removed_at = None
        self.check(rule)
        return rule if self.snapshot(rule) == before else self._store(rule, "restored", actor, before)

    def snapshot(self, rule: Rule) -> dict[str, Any]:
        """The rule's contents as JSON."""
        contents = {name: getattr(rule, name) for name in (*self.fields, *self.draft)}
        contents |= {name: contents[name].isoformat() if contents[name] else None for name in TIMES}
        return contents | {"is_removed": rule.removed_at is not None}

    def _locked(self, rule_id: UUID) -> Rule:
        rule = self.rules._default_manager.select_for_update().get(id=rule_id)
        if rule.removed_at:
            raise RuleRemoved(f"the rule '{rule.key}' has been removed; restore a version of it first")
        return rule

    def _store(self, rule: Rule, action: str, actor: str, before: dict[str, Any] | None) -> Rule:
        rule.version += 1
        rule.updated_by = actor
        rule.save()
        self.changes._default_manager.create(
            rule=rule, version=rule.version, action=action, actor=actor, before=before, after=self.snapshot(rule)
        )
        self.stored()
        return rule

    def _free_key(self, name: str) -> str:
        base = slugify(name)[:40] or "rule"
        taken = set(self.rules._default_manager.filter(key__startswith=base).values_list("key", flat=True))
        numbered = (f"{base}-{number}" for number in range(2, len(taken) + 3))
        return base if base not in taken else next(key for key in numbered if key not in taken)


def check_not_over(rule: OperatorRule) -> None:
    """Raises ValidationError for a rule whose end has passed: publishing it would do nothing."""
    if rule.ends_at and rule.ends_at <= timezone.now():
        raise ValidationError({"ends_at": "has passed; choose a later end, or none, before you publish"})


def _read_time(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None
