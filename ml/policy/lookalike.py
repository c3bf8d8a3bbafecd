"""Who of many subjects is most like a seed of some: a head on vectors of subjects, chosen and judged by seeds that it
has not seen.

Seeds are positive, and nothing is known of the others (positive and unlabelled learning): where seeds are drawn at
random from all who are alike, the order by P(seed | vector) is the order by P(alike | vector). Source: C. Elkan and
K. Noto, "Learning classifiers from only positive and unlabeled data", KDD 2008, lemma 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Codes = NDArray[np.int64]
Kind = Literal["cosine", "logistic"]

FOLDS = 5
# The weight of the data beside the penalty on weights, of the logistic heads that are tried.
STRENGTHS = (0.001, 0.1)
SMALLEST_SCALE = 1e-6


@dataclass(frozen=True)
class Head:
    """A direction in the space of subjects; the further a vector lies along it, the more its subject is like the seed.

    Vectors are centred and scaled by those of the others; for `cosine` their length is taken away.
    """

    kind: Kind
    centre: Floats
    scale: Floats
    direction: Floats

    def scores(self, vectors: Floats) -> NDArray[np.float64]:
        """Of vectors (n, D); (n,), without a unit."""
        return _prepared(vectors, self.kind, self.centre, self.scale) @ self.direction


@dataclass(frozen=True)
class Choice:
    """A kind of head, and for a logistic one how much the data weigh."""

    kind: Kind
    strength: float = 0.0

    @property
    def name(self) -> str:
        return self.kind if self.kind == "cosine" else f"{self.kind} {self.strength:g}"


@dataclass(frozen=True)
class Quality:
    """Shares of held-out seeds that are found within `share` of the others: by the head, at random, and by how many
    events each has. `tested` is how many seeds were held out, all of them once."""

    share: float
    recall: float
    random: float
    activity: float
    tested: int


CHOICES = (Choice("cosine"), *(Choice("logistic", strength) for strength in STRENGTHS))


def fit_head(choice: Choice, seed: Floats, others: Floats) -> Head:
    """From vectors of the seed (s, D) and of others (n, D)."""
    centre, scale = others.mean(axis=0), np.maximum(others.std(axis=0), SMALLEST_SCALE)
    own = _prepared(seed, choice.kind, centre, scale)
    if choice.kind == "cosine":
        return Head("cosine", centre, scale, _unit(own.mean(axis=0)))
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([own, _prepared(others, choice.kind, centre, scale)])
    is_seed = np.arange(len(both)) < len(own)
    # Balanced, since how many seeds there are says nothing of how many are like them.
    model = LogisticRegression(C=choice.strength, class_weight="balanced", max_iter=200).fit(both, is_seed)
    return Head("logistic", centre, scale, model.coef_[0])


def recall_within(seed: NDArray[Any], others: NDArray[Any], share: float) -> float:
    """The share of seed scores (s,) above the best `share` of the other scores (n,); who ties counts as not found."""
    return float(np.mean(seed > np.quantile(others, 1.0 - share, method="higher")))


def choose(seed: Floats, others: Floats, share: float, generator: np.random.Generator) -> Choice:
    """The choice that finds most of the seeds when each is held out once; the first of equals."""
    folds = _folds(len(seed), generator), _folds(len(others), generator)
    found = [_held_out_recall([choice] * FOLDS, seed, others, share, folds) for choice in CHOICES]
    return CHOICES[int(np.argmax(found))]


def judge(
    seed: Floats,
    others: Floats,
    seed_activity: Codes,
    other_activity: Codes,
    share: float,
    generator: np.random.Generator,
) -> Quality:
    """How well choosing and fitting do on seeds that neither has seen; activities are numbers of events (s,), (n,).

    Raises ValueError for fewer than 2 FOLDS seeds or others.
    """
    if min(len(seed), len(others)) < 2 * FOLDS:
        raise ValueError(f"judging needs {2 * FOLDS} seeds and as many others; there are {len(seed)} and {len(others)}")
    folds = _folds(len(seed), generator), _folds(len(others), generator)
    choices = [choose(seed[folds[0] != fold], others[folds[1] != fold], share, generator) for fold in range(FOLDS)]
    return Quality(
        share=share,
        recall=_held_out_recall(choices, seed, others, share, folds),
        random=share,
        activity=recall_within(seed_activity, other_activity, share),
        tested=len(seed),
    )


def _held_out_recall(
    choices: Sequence[Choice], seed: Floats, others: Floats, share: float, folds: tuple[Codes, Codes]
) -> float:
    """Each fold's seeds are looked for among its others by the fold's own choice, fitted on the rest."""
    seed_fold, other_fold = folds
    found = 0.0
    for fold, choice in enumerate(choices):
        head = fit_head(choice, seed[seed_fold != fold], others[other_fold != fold])
        held_out = head.scores(seed[seed_fold == fold])
        found += recall_within(held_out, head.scores(others[other_fold == fold]), share) * len(held_out)
    return found / len(seed)


def _folds(count: int, generator: np.random.Generator) -> Codes:
    return generator.permutation(np.arange(count) % FOLDS)


def _prepared(vectors: Floats, kind: Kind, centre: Floats, scale: Floats) -> NDArray[np.float64]:
    scaled = (np.asarray(vectors, dtype=np.float64) - centre) / scale
    return _unit(scaled) if kind == "cosine" else scaled


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), SMALLEST_SCALE)
