"""From candidates to an ordered list: adjusted scores, then one place after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from apps.recommendation.candidates import Candidate, Pooled
from apps.recommendation.rules import ActiveRules
from decisions.policies import Policy, draw


@dataclass(frozen=True)
class Adjusted:
    """A candidate whose score is that of its source times each of `factors`, which are named by what they stand for."""

    pooled: Pooled
    factors: dict[str, float]

    @cached_property
    def score(self) -> float:
        return self.pooled.candidate.score * prod(self.factors.values())


@dataclass(frozen=True)
class Placed:
    """A candidate at its place. `propensity` is its probability there, given those before it; `explored` says that only
    the draw brought it into the list."""

    adjusted: Adjusted
    propensity: float
    explored: bool
    rules: list[str]

    @property
    def candidate(self) -> Candidate:
        return self.adjusted.pooled.candidate


def adjust(pool: Sequence[Pooled], rules: ActiveRules) -> list[Adjusted]:
    """The candidates with what rules make of their scores."""
    return [Adjusted(each, rules.factors(each.facts)) for each in pool]


def arrange(
    candidates: Sequence[Adjusted], count: int, policy: Policy, rules: ActiveRules, generator: np.random.Generator
) -> list[Placed]:
    """Up to `count` places, filled in turn from the candidates of the earliest source that rules leave there.

    Each place is drawn anew by the policy, so that its propensity is exact whatever narrowed the choice.
    """
    left = list(candidates)
    best = sorted(left, key=lambda each: (each.pooled.source, -each.score))[:count]
    placed: list[Placed] = []
    while left and len(placed) < count:
        facts = [each.pooled.facts for each in left]
        choice = rules.choice(len(placed) + 1, facts, [each.adjusted.pooled.facts for each in placed])
        source = min(left[position].pooled.source for position in choice.positions)
        open_to = [position for position in choice.positions if left[position].pooled.source == source]
        best_score = max(left[position].score for position in open_to)
        drawn, propensity = draw(policy, [left[position].score for position in open_to], generator)
        chosen = left.pop(open_to[drawn])
        is_first = chosen.score >= best_score
        touched = [*rules.factors(chosen.pooled.facts), *choice.rules]
        placed.append(Placed(chosen, propensity, chosen not in best and not is_first, touched))
    return placed
