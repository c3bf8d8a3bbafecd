"""Predictions without a network, and without torch: sequential rules, repeats and popularity."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.data.vocabulary import Vocabulary
from ml.evaluation.mixture import Mixture
from ml.evaluation.ranking import top_items
from ml.evaluation.untrained import Untrained, recent_items
from ml.explain.parts import Parts, event_recency, untrained_parts
from ml.serving.artifact import Artifact
from ml.serving.requests import (
    MemberPart,
    NextItemPrediction,
    NextItemRequest,
    choose_items,
    explained,
    item_codes,
    read_history,
    spread_attention,
)


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
        codes = item_codes(items, self.vocabulary)

        def parts_of(run: slice) -> Parts:
            return untrained_parts(self.untrained, self.mixture, history.item, codes[run])

        return NextItemPrediction(
            items=items,
            scores=item_scores,
            attention=spread_attention(
                event_recency(history.item, self.untrained.window), history, len(request["items"])
            ),
            **explained(parts_of, item_scores, history, decompose=request.get("decompose", False)),
        )


def load_rules(path: Path) -> RulesPredictor:
    """Raises FileNotFoundError or ValueError where the folder is not an artifact of this version."""
    artifact = Artifact.open(path)
    return RulesPredictor(artifact.vocabulary, artifact.untrained, artifact.untrained_mixture)


def popular_prediction(untrained: Untrained, request: NextItemRequest, vocabulary: Vocabulary) -> NextItemPrediction:
    """What is said to a subject of whom nothing is known: the popular items, for no reason of their own."""
    items, scores = choose_items(untrained.popularity, request, vocabulary)
    prediction = NextItemPrediction(
        items=items,
        scores=scores,
        attention=[0.0] * len(request["items"]),
        because=[None] * len(items),
        shares=[0.0] * len(items),
        owed=[[] for _ in items],
    )
    if request.get("decompose"):
        prediction["members"] = [[MemberPart(name="popularity", part=score, events=[])] for score in scores]
    return prediction
