"""Rules of the demonstration's shops, as a merchandiser would have made them: two that act, and a draft."""

from dataclasses import dataclass
from typing import Any

from apps.recommendation.models import Rule, RuleKind
from apps.recommendation.rules.services import create_rule, publish_rule

ACTOR = "demo"


@dataclass(frozen=True)
class Season:
    """What a shop puts forward now: a category, and a brand of its own."""

    category: str
    brand: str


SEASONS = {
    "outdoor": Season("Camping", "Two Ferries"),
    "grocery": Season("Fruit and vegetables", "Plain Ladle"),
}


def ensure_rules(theme: str) -> None:
    """Make the rules whose key the tenant in scope does not know, be it of a rule that was removed."""
    season = SEASONS[theme]
    known = set(Rule.objects.values_list("key", flat=True))
    for key, is_live, fields in _rules(season):
        if key not in known:
            rule = create_rule(actor=ACTOR, key=key, **fields)
            if is_live:
                publish_rule(rule_id=rule.id, actor=ACTOR)


def _rules(season: Season) -> list[tuple[str, bool, dict[str, Any]]]:
    """Key, whether it is published, and what it says."""
    return [
        (
            "season",
            True,
            {
                "name": f"In season: {season.category}",
                "kind": RuleKind.BOOST,
                "target": {"eq": {"field": "categories", "value": season.category}},
                "values": {"factor": 1.5},
                "scenarios": ["home", "popular", "trending"],
                "notes": "Half as much again for what people look for at this time of the year.",
            },
        ),
        (
            "mixed-shelf",
            True,
            {
                "name": "A mixed shelf: at most four of a category",
                "kind": RuleKind.CAP,
                "values": {"attribute": "category", "limit": 4},
                "scenarios": ["popular"],
                "notes": "What is popular comes from few categories; the shelf should show the breadth of the shop.",
            },
        ),
        (
            "own-brand-weekend",
            False,
            {
                "name": f"Weekend: a fifth from {season.brand}",
                "kind": RuleKind.PROMOTE,
                "target": {"eq": {"field": "brand", "value": season.brand}},
                "values": {"share": 20},
                "condition": {"weekdays": [6, 7]},
                "scenarios": ["home"],
                "notes": "A draft: look at its preview before it is published.",
            },
        ),
    ]
