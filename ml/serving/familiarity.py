"""How like a conversation is to those that a model was trained on.

A model's probabilities were calibrated on conversations like its training's; of one that is like none of them they say
nothing. Kept are sums over all training messages, never a message.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml.serving.bm25 import TERM_BUCKETS
from ml.serving.reply_inputs import AskedTexts

# The strangest tenth of the held-out conversations counts for less than a whole one, like anything that is stranger.
STRANGE_SHARE = 0.1
LEAST = 1e-6

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Familiarity:
    """`having` (TERM_BUCKETS,) says how many of `conversations` have a term; `strange` (D, D) how little of each
    direction of pretrained vectors training has seen. `usual_words` and `usual_meaning` are what all but the strangest
    held-out conversations reach.

    By meaning it is what a Bayesian linear model of the vectors would know of a new one: 1 less what is left of the
    prior's variance, the prior being as strong as the mean direction of the training's vectors.
    """

    having: Floats
    conversations: int
    strange: Floats
    usual_words: float = 1.0
    usual_meaning: float = 1.0

    @classmethod
    def fit(cls, trained: AskedTexts, held_out: AskedTexts) -> Self:
        having = np.bincount(trained.query.indices, minlength=TERM_BUCKETS).astype(np.float32)
        raw = cls(having, trained.text.shape[0], _strange(trained.text))
        words, meaning = raw._by_words(held_out.query), raw._by_meaning(held_out.text)
        return cls(raw.having, raw.conversations, raw.strange, _usual(words), _usual(meaning[_is_read(held_out.text)]))

    @property
    def nbytes(self) -> int:
        return self.having.nbytes + self.strange.nbytes

    def __call__(self, texts: AskedTexts) -> Doubles:
        """(conversations,), 0 for what is like nothing known to 1 for what is as usual; by words where no pretrained
        encoder reads."""
        words = self._by_words(texts.query) / self.usual_words
        meaning = self._by_meaning(texts.text) / self.usual_meaning
        found: Doubles = np.where(_is_read(texts.text), meaning, words).clip(0.0, 1.0)
        return found

    def _by_words(self, query: csr_matrix) -> Doubles:
        """The share of the terms that were seen, rare ones counting more; a term that was seen once counts half."""
        having = self.having[query.indices].astype(np.float64)
        counts = np.log1p((self.conversations - having + 0.5) / (having + 0.5))
        text = np.repeat(np.arange(query.shape[0]), np.diff(query.indptr))
        known = np.bincount(text, counts * having / (having + 1.0), minlength=query.shape[0])
        return known / np.bincount(text, counts, minlength=query.shape[0]).clip(LEAST)

    def _by_meaning(self, text: Floats) -> Doubles:
        return 1.0 - np.einsum("nd,nd->n", text @ self.strange, text, dtype=np.float64)


def _strange(text: Floats) -> Floats:
    """The inverse of 1 + the vectors' second moment over its mean direction."""
    moment = text.T.astype(np.float64) @ text
    direction = max(np.trace(moment) / max(len(moment), 1), LEAST)
    return np.linalg.inv(np.eye(len(moment)) + moment / direction).astype(np.float32)


def _is_read(text: Floats) -> NDArray[np.bool_]:
    return np.asarray(text.any(axis=1))


def _usual(familiar: Doubles) -> float:
    return max(float(np.quantile(familiar, STRANGE_SHARE)), LEAST) if len(familiar) else 1.0
