"""What is likely to be a mistake in a rule, beside the rules that are published."""

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.db.models import Count, Q

from apps.recommendation import selectors
from apps.recommendation.models import Rule, RuleKind
from apps.recommendation.rules.book import CompiledRule, compile_rule, published_rules
from catalog.filters import FilterError
from catalog.models import Item
from catalog.selectors import VISIBLE

# A list of this many items should stay possible.
FEW_ITEMS = 20
# One query counts the items that two rules share, for so many other rules at most.
MOST_COMPARED = 30
PLACED = (RuleKind.PIN, RuleKind.PROMOTE)
NARROWING = (RuleKind.HIDE, RuleKind.FILTER)


@dataclass(frozen=True)
class RuleWarning:
    """`code` names the kind of warning, `rules` the keys of the other rules that it is about."""

    code: str
    message: str
    rules: list[str] = field(default_factory=list)


def warnings_of(rule: Rule) -> list[RuleWarning]:
    """At most three queries: the published rules, the scenarios, and one count over the catalogue."""
    try:
        compiled = compile_rule(rule)
    except FilterError as error:
        return [RuleWarning("unusable", f"the target cannot be used: {error}")]
    others = [other for other in published_rules() if other.key != rule.key and _meet(compiled, other)]
    return [
        *_about_scenarios(compiled),
        *_about_places(compiled, others),
        *_about_items(compiled, list(islice((other for other in others if other.target is not None), MOST_COMPARED))),
    ]


def _meet(one: CompiledRule, other: CompiledRule) -> bool:
    """Whether both can hold for one request."""
    if one.scenarios and other.scenarios and not one.scenarios & other.scenarios:
        return False
    if one.ends_at and other.starts_at and one.ends_at <= other.starts_at:
        return False
    if other.ends_at and one.starts_at and other.ends_at <= one.starts_at:
        return False
    mine, theirs = one.condition.get("context", {}), other.condition.get("context", {})
    return all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())


def _about_scenarios(rule: CompiledRule) -> list[RuleWarning]:
    if not rule.scenarios:
        return []
    unknown = sorted(rule.scenarios - set(selectors.scenarios().values_list("key", flat=True)))
    return [RuleWarning("unknown_scenario", f"there is no scenario {', '.join(unknown)}")] if unknown else []


def _about_places(rule: CompiledRule, others: list[CompiledRule]) -> list[RuleWarning]:
    if rule.kind == RuleKind.PIN:
        position = rule.values["position"]
        same = [o.key for o in others if o.kind == RuleKind.PIN and o.values["position"] == position]
        message = f"place {position} is pinned already; the lower priority takes the next place"
        return [RuleWarning("same_place", message, same)] if same else []
    if rule.kind == RuleKind.PROMOTE:
        promotions = [other for other in others if other.kind == RuleKind.PROMOTE]
        total = rule.values["share"] + sum(other.values["share"] for other in promotions)
        message = f"promotions together want {total} % of the places; the lowest priority gets what is left"
        return [RuleWarning("more_than_all", message, [o.key for o in promotions])] if total > 100 else []
    return []


def _about_items(rule: CompiledRule, others: list[CompiledRule]) -> list[RuleWarning]:
    if rule.target is None:
        return []
    counts = _count(rule, others)
    warnings = []
    if counts["own"] == 0:
        warnings.append(RuleWarning("no_items", "no item that may be shown meets the target"))
    if rule.kind in NARROWING and counts["left"] < FEW_ITEMS:
        left = counts["left"]
        said = f"only {left} item{'' if left == 1 else 's'} may still be shown, of {counts['visible']}"
        warnings.append(RuleWarning("few_items", said))
    for number, other in enumerate(others):
        if warning := _between(rule, other, counts[f"both_{number}"]):
            warnings.append(warning)
    return warnings


def _count(rule: CompiledRule, others: list[CompiledRule]) -> dict[str, int]:
    """How many visible items there are, meet the target, and are left by every rule that narrows; and how many the
    target has in common with each other rule."""
    own = rule.target or Q()
    narrowing = [_lets_in(each) for each in (rule, *others) if each.kind in NARROWING]
    counted: dict[str, Any] = {"own": own, "left": Q(*narrowing)}
    for number, other in enumerate(others):
        counted[f"both_{number}"] = own & (other.target or Q())
    conditions = {name: Count("id", filter=condition) for name, condition in counted.items() if condition}
    totals = Item.objects.filter(VISIBLE).aggregate(visible=Count("id"), **conditions)
    return dict.fromkeys(counted, totals["visible"]) | totals


def _lets_in(rule: CompiledRule) -> Q:
    target = rule.target or Q()
    return ~target if rule.kind == RuleKind.HIDE else target


def _between(rule: CompiledRule, other: CompiledRule, both: int) -> RuleWarning | None:
    kinds = {rule.kind, other.kind}
    if kinds == {RuleKind.BOOST, RuleKind.BURY} and both:
        return RuleWarning("opposed", f"{both} items are boosted and buried at once", [other.key])
    narrowing, placed = (rule, other) if rule.kind in NARROWING else (other, rule)
    if placed.kind not in PLACED or narrowing.kind not in NARROWING:
        return None
    if narrowing.kind == RuleKind.HIDE and both:
        return RuleWarning("hidden", f"'{narrowing.key}' hides {both} of the items of '{placed.key}'", [other.key])
    if narrowing.kind == RuleKind.FILTER and not both:
        return RuleWarning("hidden", f"'{narrowing.key}' lets in no item of '{placed.key}'", [other.key])
    return None
