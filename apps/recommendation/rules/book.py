"""The published rules, ready for use: read at most once a second, and narrowed to those that hold for a request."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db.models import Q
from django.utils import timezone

from apps.recommendation.models import Rule, RuleKind
from apps.recommendation.rules.active import NO_RULES, ActiveRules, Cap, Pin, Promotion, Shaping
from apps.recommendation.rules.kinds import holds
from catalog.filters import FilterError
from catalog.saved_filters import read_filter, resolve_filter
from tenancy.kept import Kept

log = structlog.get_logger(__name__)

# A change reaches every process within this time, and a busy process reads the rules once in it.
BOOK_SECONDS = 1.0
MARKED = (RuleKind.PIN, RuleKind.BOOST, RuleKind.BURY, RuleKind.CAP, RuleKind.PROMOTE)


@dataclass(frozen=True)
class CompiledRule:
    """A rule whose target is a condition of the database; `target_ids` where it is nothing but a list of ids."""

    key: str
    kind: str
    scenarios: frozenset[str]
    target: Q | None
    target_ids: frozenset[str] | None
    values: Mapping[str, Any]
    condition: Mapping[str, Any]
    starts_at: datetime | None
    ends_at: datetime | None
    priority: int

    def concerns(self, scenario: str, context: Mapping[str, Any], now: datetime) -> bool:
        """Whether it is about such a request, whatever its schedule says."""
        return (not self.scenarios or scenario in self.scenarios) and holds(self.condition, context, now)

    def is_due(self, now: datetime) -> bool:
        return (self.starts_at is None or self.starts_at <= now) and (self.ends_at is None or now < self.ends_at)


_books: Kept[list[CompiledRule]] = Kept(BOOK_SECONDS)


def active_rules(
    scenario: str,
    context: Mapping[str, Any],
    now: datetime,
    *,
    count: int,
    book: Sequence[CompiledRule] | None = None,
) -> ActiveRules:
    """The rules that hold for a request of `count` items with this context at this time.

    `book` takes the place of the published rules.
    """
    rules = published_rules() if book is None else book
    return assemble([rule for rule in rules if rule.is_due(now) and rule.concerns(scenario, context, now)], count)


def published_rules() -> list[CompiledRule]:
    """The tenant's published rules as they were at most a second ago."""
    return _books.get(None, _read_book)


def _read_book() -> list[CompiledRule]:
    published = Rule.objects.filter(is_active=True, removed_at=None).exclude(ends_at__lte=timezone.now())
    return list(_compiled(published))


def forget_published_rules() -> None:
    """What this process remembers of the tenant's rules is read again."""
    _books.forget(None)


def compile_rule(rule: Rule) -> CompiledRule:
    """Raises FilterError for a target that cannot be used any more."""
    return CompiledRule(
        key=rule.key,
        kind=rule.kind,
        scenarios=frozenset(rule.scenarios),
        target=None if rule.target is None else read_filter(rule.target),
        target_ids=None if rule.target is None else _ids(resolve_filter(rule.target)),
        values=rule.values,
        condition=rule.condition,
        starts_at=rule.starts_at,
        ends_at=rule.ends_at,
        priority=rule.priority,
    )


def _compiled(rules: Iterable[Rule]) -> Iterable[CompiledRule]:
    for rule in rules:
        try:
            yield compile_rule(rule)
        except FilterError as error:
            # One rule that lost its saved filter takes no list with it.
            log.warning("rule_unusable", rule=rule.key, error=str(error))


def _ids(target: Any) -> frozenset[str] | None:
    """The ids that the target lists, if it does nothing else."""
    match target:
        case {"eq": {"field": "id", "value": item_id}}:
            return frozenset([item_id])
        case {"in": {"field": "id", "values": item_ids}}:
            return frozenset(item_ids)
    return None


def assemble(rules: Sequence[CompiledRule], count: int) -> ActiveRules:
    """What the rules together ask of a list of `count` places."""
    if not rules:
        return NO_RULES
    ordered = sorted(rules, key=lambda rule: (-rule.priority, rule.kind, rule.key))
    return ActiveRules(
        conditions=[condition for rule in ordered if (condition := _condition(rule)) is not None],
        excluded=frozenset().union(*(rule.target_ids or () for rule in ordered if rule.kind == RuleKind.HIDE)),
        marks={rule.key: rule.target for rule in ordered if rule.kind in MARKED and rule.target is not None},
        multipliers={rule.key: float(rule.values["factor"]) for rule in ordered if "factor" in rule.values},
        pins=[Pin(rule.key, rule.values["position"]) for rule in ordered if rule.kind == RuleKind.PIN],
        shaping=[SHAPING[rule.kind](rule) for rule in ordered if rule.kind in SHAPING],
        count=count,
    )


def _condition(rule: CompiledRule) -> Q | None:
    if rule.kind == RuleKind.FILTER:
        return rule.target
    # Hidden ids are excluded one by one, so that items that only the log knows can be hidden, and the others stay.
    hides = rule.kind == RuleKind.HIDE and rule.target is not None and rule.target_ids is None
    return ~rule.target if hides and rule.target is not None else None


def _cap(rule: CompiledRule) -> Cap:
    values = rule.values
    return Cap(rule.key, values["attribute"], values["limit"], values.get("window"), rule.target is not None)


def _promotion(rule: CompiledRule) -> Promotion:
    return Promotion(rule.key, rule.values["share"])


SHAPING: dict[str, Callable[[CompiledRule], Shaping]] = {RuleKind.CAP: _cap, RuleKind.PROMOTE: _promotion}
