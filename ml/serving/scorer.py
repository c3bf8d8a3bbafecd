"""The one way from a batch of histories to item scores, shared by evaluation and serving so that both agree."""

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from ml.data.batches import EventBatch
from ml.data.item_features import ItemFeatures
from ml.evaluation.mixture import Mixture
from ml.evaluation.untrained import Untrained, recent_items
from ml.explain.parts import NEURAL, Parts
from ml.nn.sequence_model import Ranking, SequenceModel
from ml.serving.artifact import Artifact

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scorer:
    """Scores are probabilities: a mixture of the network's and of the untrained predictor's distributions."""

    model: SequenceModel
    untrained: Untrained
    mixture: Mixture
    # How many of the last items were added after training.
    added: int = 0

    @classmethod
    def load(cls, artifact: Artifact) -> "Scorer":
        from safetensors.torch import load_file

        model = SequenceModel(**artifact.network)
        model.load_state_dict(load_file(artifact.weights))
        model.eval()
        features = ItemFeatures.open(artifact.path)
        if features is not None:
            model.embedding.describe(features)
        return cls(model, artifact.untrained, artifact.mixture)

    def with_items(self, features: ItemFeatures) -> "Scorer":
        """A scorer that also ranks these new items, which the network knows by their content and the rules not yet."""
        untrained = self.untrained.with_items(features.items)
        return Scorer(self.model.with_items(features), untrained, self.mixture, self.added + features.items)

    def components(self, batch: EventBatch) -> tuple[Floats, Ranking]:
        """The mixture's five distributions after each history, (5, cases, items), and the network's parts."""
        ranking = self.model.rank(batch.to(self.model.bias.device))
        recent = recent_items(batch.item.numpy(), self.untrained.reach)
        components = self.untrained.components(recent)
        components[0] = ranking.probability.float().cpu().numpy()
        self.speak_for_new_items(components, np.arange(1, components.shape[2] + 1))
        return components, ranking

    def speak_for_new_items(self, components: Floats, codes: NDArray[np.int64]) -> None:
        """Counts say nothing of a new item yet, which is no opinion: the network's stands in for theirs.

        components (5, ..., K) of these item codes (K,), ascending.
        """
        if not self.added or not self.mixture.neural:
            return
        new = slice(int(np.searchsorted(codes, self.untrained.items - self.added, side="right")), None)
        components[1:, ..., new] = np.maximum(components[1:, ..., new], components[0, ..., new])

    def weigh_network(self, parts: Parts, codes: NDArray[np.int64]) -> None:
        """Turn the network's probabilities in `parts` into its share of the scores of these item codes (K,), of which
        0 is unknown; of a new item it has the part of others too, for which it speaks."""
        probability = parts.scores[NEURAL]
        share = np.full(len(codes), self.mixture.neural, dtype=np.float32)
        new = codes > self.untrained.items - self.added
        if new.any():
            others = np.array(astuple(self.mixture)[1:], dtype=np.float32)[:, None] * probability
            spoken = np.maximum(others - parts.scores[1:], 0.0).sum(axis=0)
            share[new] += (spoken / np.maximum(probability, np.finfo(np.float32).tiny))[new]
        parts.events[NEURAL] *= share
        parts.base[NEURAL] *= share

    def scores(self, batch: EventBatch) -> tuple[Floats, Ranking]:
        """Scores of all items after each history, (cases, items); columns are 0-based items."""
        components, ranking = self.components(batch)
        return self.mixture.combine(components), ranking

    @property
    def nbytes(self) -> int:
        tensors = (*self.model.parameters(), *self.model.buffers())
        weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return weights + self.untrained.nbytes
