"""Predictions without a network, and without torch: sequential rules, repeats and popularity."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.data.vocabulary import Vocabulary
from ml.evaluation.mixture import Mixture
from ml.evaluation.ranking import top_items
from ml.evaluation.untrained import Untrained, recency_weights, recent_items
from ml.serving.artifact import Artifact
from ml.serving.requests import (
    History,
    NextItemPrediction,
    NextItemRequest,
    choose_items,
    read_history,
    spread_attention,
    strongest_events,
)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class RulesPredictor:
    """Answers the requests of a next-item predictor from counts alone."""

    vocabulary: Vocabulary
    untrained: Untrained
    mixture: Mixture
    task: str = "next_item"

    @property
    def nbytes(self) -> int:
        return self.untrained.nbytes + self.vocabulary.nbytes

    def predict(self, requests: list[NextItemRequest]) -> list[NextItemPrediction]:
        return [self._predict(request) for request in requests]

    def similar(self, item: str, count: int) -> tuple[list[str], list[float]]:
        """Items that most often follow `item`, without itself, and their shares; empty for an unknown item."""
        code = self.vocabulary.item_codes.get(item)
        if code is None:
            return [], []
        successor, weight = self.untrained.rules.row(code)
        others = np.flatnonzero(successor != code - 1)[:count]
        return [self.vocabulary.items[successor[other]] for other in others], [float(weight[other]) for other in others]

    def popular(self, count: int) -> tuple[list[str], list[float]]:
        """The most frequent items and their shares of the training events."""
        best = top_items(self.untrained.popularity, count)
        return [self.vocabulary.items[item] for item in best], [float(self.untrained.popularity[item]) for item in best]

    def _predict(self, request: NextItemRequest) -> NextItemPrediction:
        history = read_history(request, self.vocabulary, limit=self.untrained.reach)
        if not len(history.index):
            return popular_prediction(self.untrained, request, self.vocabulary)
        recent = recent_items(history.item[None], self.untrained.reach)
        scores = self.mixture.combine(self.untrained.components(recent))[0]
        items, item_scores = choose_items(scores, request, self.vocabulary)
        contribution = untrained_contribution(self.untrained, self.mixture, history, items, self.vocabulary)
        because, shares = strongest_events(contribution, item_scores, history)
        return NextItemPrediction(
            items=items,
            scores=item_scores,
            attention=spread_attention(event_recency(history, self.untrained.window), history, len(request["items"])),
            because=because,
            shares=shares,
        )


def load_rules(path: Path) -> RulesPredictor:
    """Raises FileNotFoundError or ValueError where the folder is not an artifact of this version."""
    artifact = Artifact.open(path)
    return RulesPredictor(artifact.vocabulary, artifact.untrained, artifact.untrained_mixture)


def popular_prediction(untrained: Untrained, request: NextItemRequest, vocabulary: Vocabulary) -> NextItemPrediction:
    """What is said to a subject of whom nothing is known: the popular items, for no reason of their own."""
    items, scores = choose_items(untrained.popularity, request, vocabulary)
    return NextItemPrediction(
        items=items,
        scores=scores,
        attention=[0.0] * len(request["items"]),
        because=[None] * len(items),
        shares=[0.0] * len(items),
    )


def event_recency(history: History, window: int) -> Floats:
    """The rules' weight of each known event, (events,); 0 beyond the newest `window`."""
    weight = np.zeros(len(history.item), dtype=np.float32)
    recent = history.item[::-1][:window]
    weight[len(weight) - len(recent) :] = recency_weights(recent[None])[0][::-1]
    return weight


def untrained_contribution(
    untrained: Untrained, mixture: Mixture, history: History, items: list[str], vocabulary: Vocabulary
) -> Floats:
    """What each known event adds to each item's score without the network, exactly: (events, items)."""
    chosen = np.array([vocabulary.item_codes.get(item, 0) for item in items], dtype=np.int64)
    contribution = mixture.repeats * (history.item[:, None] == chosen).astype(np.float32)
    recency = event_recency(history, untrained.window)
    for event in np.flatnonzero(recency):
        successor, weight = untrained.rules.row(int(history.item[event]))
        contribution[event] += mixture.rules * (weight[:, None] * (successor[:, None] == chosen - 1)).sum(axis=0)
    contribution *= recency[:, None]
    if untrained.neighbors is not None and mixture.neighbors:
        newest_first = history.item[::-1][: untrained.reach]
        spoken = untrained.neighbors.contributions(newest_first, chosen)[::-1]
        contribution[len(contribution) - len(spoken) :] += mixture.neighbors * spoken
    return contribution
