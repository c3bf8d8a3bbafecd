"""From candidates to an ordered list: adjusted scores, then one place after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from apps.recommendation.lists.candidates import Candidate, Pooled
from apps.recommendation.lists.diversity import Variety
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.rules.active import ActiveRules
from decisions.policies import Policy, draw

RELAXED = "category_window_relaxed"


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
    the draw brought it into the list; `likeness` is its greatest to the items before it, where diversity counts."""

    adjusted: Adjusted
    propensity: float
    explored: bool
    rules: list[str]
    likeness: float | None = None

    @property
    def candidate(self) -> Candidate:
        return self.adjusted.pooled.candidate

    @property
    def parts(self) -> dict[str, float]:
        """What the score is the product of; `likeness` stands beside it and multiplies nothing."""
        beside = {} if self.likeness is None else {"likeness": self.likeness}
        return {"source": self.candidate.score, **self.adjusted.factors, **beside}


def adjust(pool: Sequence[Pooled], rules: ActiveRules, factors: Sequence[Mapping[str, float]]) -> list[Adjusted]:
    """The candidates with what rules and factors (one mapping for each) make of their scores."""
    return [Adjusted(each, {**own, **rules.factors(each.facts)}) for each, own in zip(pool, factors, strict=True)]


def arrange(
    candidates: Sequence[Adjusted],
    count: int,
    policy: Policy,
    rules: ActiveRules,
    generator: np.random.Generator,
    settings: ScenarioSettings,
    *,
    first: int = 1,
) -> list[Placed]:
    """Up to `count` places from rank `first` on, filled in turn from the candidates of the earliest source that rules,
    and then the window of categories, leave there; the window gives way where it would leave none.

    Each place is drawn anew by the policy, so that its propensity is exact whatever narrowed the choice.
    """
    if not (policy.temperature or rules.pins or rules.shaping or settings.diversity or settings.category_window):
        best_first = sorted(candidates, key=lambda each: (each.pooled.source, -each.score))[:count]
        return [Placed(each, 1.0, explored=False, rules=[*rules.factors(each.pooled.facts)]) for each in best_first]
    facts = [each.pooled.facts for each in candidates]
    source_of = [each.pooled.source for each in candidates]
    scores = np.array([each.score for each in candidates], dtype=np.float64)
    variety = Variety(
        facts, _relevance(scores, source_of), diversity=settings.diversity, window=settings.category_window
    )
    left = list(range(len(candidates)))
    best = set(sorted(left, key=lambda each: (source_of[each], -scores[each]))[:count])
    placed: list[Placed] = []
    taken: list[int] = []
    while left and len(placed) < count:
        choice = rules.choice(first + len(placed), [facts[each] for each in left], [facts[each] for each in taken])
        let_in = [left[position] for position in choice.positions]
        fitting = variety.fitting(let_in)
        open_to = fitting or let_in
        source = min(source_of[each] for each in open_to)
        open_to = [each for each in open_to if source_of[each] == source]
        drawn, propensity = draw(
            policy, list(variety.values(open_to) if settings.diversity else scores[open_to]), generator
        )
        chosen = open_to[drawn]
        touched = [*rules.factors(facts[chosen]), *choice.rules]
        placed.append(
            Placed(
                candidates[chosen],
                propensity,
                explored=chosen not in best and scores[chosen] < scores[open_to].max(),
                rules=touched if fitting else [*touched, RELAXED],
                likeness=float(variety.greatest_likeness[chosen]) if settings.diversity else None,
            )
        )
        variety.place(chosen)
        left.remove(chosen)
        taken.append(chosen)
    return placed


def _relevance(scores: NDArray[np.float64], source_of: Sequence[int]) -> NDArray[np.float64]:
    """Each score as a share of the best of its source; 0 in a source without scores."""
    relevance = np.zeros(len(scores))
    sources = np.array(source_of, dtype=np.int64)
    for source in set(source_of):
        of_source = sources == source
        best = scores[of_source].max()
        if best > 0.0:
            relevance[of_source] = scores[of_source] / best
    return relevance
