"""Ranks of the true next item among the whole catalogue, in chunks that fit memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.data.batches import gather_batch
from ml.data.columns import EventColumns
from ml.data.splits import Cases
from ml.evaluation.mixture import Mixture
from ml.evaluation.ranking import coverage, pessimistic_ranks, top_items
from ml.evaluation.untrained import Untrained, recent_items
from ml.serving.scorer import Scorer

Ranks = NDArray[np.int64]
Scores = NDArray[np.float32]

# Scores of one component held at once, in elements: 4 M float32 scores are 16 MB.
SCORES_IN_MEMORY = 4 * 2**20
MOST_CASES_AT_ONCE = 256
COVERAGE_AT = 10


@dataclass(frozen=True)
class CaseEvaluator:
    """Ranks cases of one log whose item codes are those of the predictor.

    `tick` is called between chunks, so that a caller can show life or stop.
    """

    columns: EventColumns
    max_length: int
    exclude_seen: bool
    tick: Callable[[], None]

    def ranks(self, cases: Cases, mixtures: list[Mixture], predictor: Scorer | Untrained) -> Ranks:
        """1-based ranks of the targets under each mixture, (mixtures, cases)."""
        return self._measure(cases, mixtures, predictor)[0]

    def ranks_and_coverage(self, cases: Cases, mixture: Mixture, predictor: Scorer | Untrained) -> tuple[Ranks, float]:
        """Ranks (cases,) under one mixture, and the share of the catalogue in the top 10 of any case."""
        ranks, shown = self._measure(cases, [mixture], predictor, with_lists=True)
        return ranks[0], coverage(shown, len(self.columns.items))

    def _measure(
        self, cases: Cases, mixtures: list[Mixture], predictor: Scorer | Untrained, *, with_lists: bool = False
    ) -> tuple[Ranks, Ranks]:
        ranks = np.zeros((len(mixtures), len(cases)), dtype=np.int64)
        size = max(1, min(MOST_CASES_AT_ONCE, SCORES_IN_MEMORY // len(self.columns.items)))
        # Like lengths together, so that a chunk is padded little.
        order = np.argsort(cases.target - cases.start, kind="stable")
        lists = [np.zeros(0, dtype=np.int64)]
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            part = cases.take(chosen)
            components = self._components(part, predictor)
            target = self.columns.item[part.target].astype(np.int64) - 1
            for index, mixture in enumerate(mixtures):
                scores = mixture.combine(components)
                ranks[index, chosen] = pessimistic_ranks(scores, target)
                if with_lists:
                    lists.extend(top_items(row, COVERAGE_AT) for row in scores)
            self.tick()
        return ranks, np.concatenate(lists)

    def _components(self, cases: Cases, predictor: Scorer | Untrained) -> Scores:
        start = np.maximum(cases.start, cases.target - self.max_length)
        batch = gather_batch(self.columns, start, cases.target)
        if isinstance(predictor, Scorer):
            components, _ = predictor.components(batch)
        else:
            components = predictor.components(recent_items(batch.item.numpy(), predictor.reach))
        if self.exclude_seen:
            # Below every share of a distribution, so that no mixture brings a seen item back.
            for row, (begin, end) in enumerate(zip(cases.start, cases.target, strict=True)):
                seen = self.columns.item[begin:end]
                components[:, row, seen[seen > 0] - 1] = -1.0
        return components
