"""What rules would do to a list: the list without them and with them, side by side. Nothing is recorded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from apps.recommendation.lists.asking import Ask, Recommendation
from apps.recommendation.models import Rule, RuleKind
from apps.recommendation.rules.book import CompiledRule, compile_rule, published_rules
from apps.recommendation.rules.warnings import RuleWarning, warnings_of
from apps.recommendation.selectors import titles
from apps.recommendation.services import preview
from catalog.selectors import look_up_items
from decisions.services import DecidedItem


@dataclass(frozen=True)
class Move:
    """An item that stands elsewhere, came or went (rank None), or that one of the rules touched."""

    id: str
    title: str
    before: int | None
    after: int | None
    rules: list[str]


@dataclass(frozen=True)
class RulePreview:
    before: Recommendation
    after: Recommendation
    moves: list[Move]
    warnings: list[RuleWarning]


def preview_rules(ask: Ask, rules: Sequence[Rule]) -> RulePreview:
    """The list without the rules and with them, as if they were published and due.

    Both are drawn without exploration, so that only the rules tell them apart. Raises UnknownScenario, FilterError for
    a target that cannot be used, and ValidationError for params that cannot.
    """
    greedy = replace(ask, params={**ask.params, "temperature": 0.0})
    tried = [replace(compile_rule(rule), starts_at=None, ends_at=None) for rule in rules]
    keys = {rule.key for rule in tried}
    others = [rule for rule in published_rules() if rule.key not in keys]
    before = preview(greedy, book=others)
    after = preview(greedy, book=[*others, *tried])
    warnings = [warning for rule in rules for warning in warnings_of(rule)]
    return RulePreview(before, after, _moves(before.items, after.items, tried), _distinct(warnings))


def _moves(before: Sequence[DecidedItem], after: Sequence[DecidedItem], rules: Sequence[CompiledRule]) -> list[Move]:
    old = {item["id"]: item["rank"] for item in before}
    new = {item["id"]: item for item in after}
    gone = [item_id for item_id in old if item_id not in new]
    took_out = _took_out(gone, rules)
    keys = {rule.key for rule in rules}
    touched = {item_id: [*item["rules"]] for item_id, item in new.items()} | took_out
    shown = [
        item_id
        for item_id in (*new, *gone)
        if item_id in gone or old.get(item_id) != new[item_id]["rank"] or keys & {*touched[item_id]}
    ]
    names = titles(shown)
    return [
        Move(
            id=item_id,
            title=names.get(item_id, ""),
            before=old.get(item_id),
            after=new[item_id]["rank"] if item_id in new else None,
            rules=touched[item_id],
        )
        for item_id in shown
    ]


def _took_out(gone: Sequence[str], rules: Sequence[CompiledRule]) -> dict[str, list[str]]:
    """By item that went, the rules that do not let it in."""
    hides = {rule.key: rule.target for rule in rules if rule.kind == RuleKind.HIDE and rule.target is not None}
    filters = {rule.key: ~rule.target for rule in rules if rule.kind == RuleKind.FILTER and rule.target is not None}
    marks = hides | filters
    facts = look_up_items(gone, marks=marks) if gone and marks else {}
    return {item_id: sorted(facts[item_id].marks) if item_id in facts else [] for item_id in gone}


def _distinct(warnings: Iterable[RuleWarning]) -> list[RuleWarning]:
    return list({(each.code, each.message): each for each in warnings}.values())
