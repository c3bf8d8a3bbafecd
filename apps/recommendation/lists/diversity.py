"""Variety within a list: maximal marginal relevance, and windows of categories."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catalog.selectors import ItemFacts

Floats = NDArray[np.float64]


def likeness(items: Sequence[ItemFacts], others: Sequence[ItemFacts]) -> Floats:
    """(items, others): Jaccard similarity of categories and brand, in [0, 1]; 0 where an item has neither."""
    features = [_features(facts) for facts in (*items, *others)]
    columns = {feature: column for column, feature in enumerate(sorted(set().union(*features)))}
    matrix = np.zeros((len(features), len(columns)))
    for row, each in enumerate(features):
        matrix[row, [columns[feature] for feature in each]] = 1.0
    first, second = matrix[: len(items)], matrix[len(items) :]
    shared = first @ second.T
    united = first.sum(axis=1)[:, None] + second.sum(axis=1)[None] - shared
    return shared / np.maximum(united, 1.0)


def _features(facts: ItemFacts) -> set[tuple[str, str]]:
    features = {("category", category) for category in facts.categories}
    return features | {("brand", facts.brand)} if facts.brand else features


class Variety:
    """What stands in a list that is being filled, and what it means for the candidates, known by their positions.

    `relevance` (candidates,) lies in [0, 1]. With `diversity` d a candidate is worth (1 - d) relevance - d s + d, where
    s is its greatest likeness to the items placed (Carbonell and Goldstein 1998, section 2; the last d keeps it from
    falling below 0).
    """

    def __init__(
        self, facts: Sequence[ItemFacts], relevance: Floats, *, diversity: float, window: dict[str, int] | None
    ) -> None:
        self.relevance = relevance
        self.diversity = diversity
        self.greatest_likeness = np.zeros(len(facts))
        self._window = window
        # A category that all candidates share, such as the page's own, tells none of them apart.
        counts = Counter(category for each in facts for category in set(each.categories))
        self._categories = [{each for each in one.categories if counts[each] < len(facts)} for one in facts]
        self._likeness = likeness(facts, facts) if diversity else None
        self._placed: list[int] = []

    def values(self, positions: Sequence[int]) -> Floats:
        """What candidates are worth at the next place."""
        chosen = np.asarray(positions)
        likeness_there = self.greatest_likeness[chosen]
        return (1 - self.diversity) * self.relevance[chosen] - self.diversity * likeness_there + self.diversity

    def fitting(self, positions: Sequence[int]) -> list[int]:
        """Those that the window of categories leaves at the next place; it may be none."""
        if self._window is None:
            return list(positions)
        neighbours = self._placed[-(self._window["size"] - 1) :]
        counts = Counter(category for each in neighbours for category in self._categories[each])
        full = {category for category, count in counts.items() if count >= self._window["limit"]}
        return [each for each in positions if not full & self._categories[each]]

    def place(self, position: int) -> None:
        self._placed.append(position)
        if self._likeness is not None:
            self.greatest_likeness = np.maximum(self.greatest_likeness, self._likeness[position])
