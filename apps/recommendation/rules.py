"""What operators want of a list, as it stands at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from catalog.selectors import ItemFacts


@dataclass(frozen=True)
class ActiveRules:
    """The rules that hold for one request.

    conditions   what every item of the list must meet
    marks        conditions by rule that are looked up with each candidate (ItemFacts.marks), for rules that touch some
    """

    conditions: Sequence[Q] = ()
    marks: Mapping[str, Q] | None = None

    def factors(self, facts: ItemFacts) -> dict[str, float]:
        """By rule, what it multiplies the item's score by."""
        return {}

    def choice(self, rank: int, left: Sequence[ItemFacts], placed: Sequence[ItemFacts]) -> "Choice":
        """Which of the candidates that are left may stand at a rank (from 1), after those placed before."""
        return Choice(range(len(left)))


@dataclass(frozen=True)
class Choice:
    """Positions among the candidates that are left, and the rule that narrowed them, if one did."""

    positions: Sequence[int]
    rule: str | None = None


NO_RULES = ActiveRules()


def active_rules(scenario: str, context: Mapping[str, Any], now: datetime) -> ActiveRules:
    """The rules that hold for a scenario's request with this context at this time."""
    return NO_RULES
