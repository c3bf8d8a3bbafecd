"""The parts of the intents model and how they are weighed."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ml.data.labelled_texts import LabelledTexts, Rows, language_of
from ml.data.text_grams import gram_counts, inverse_frequency, weighted
from ml.evaluation.calibration import Calibrator, PlattCalibrator, fit_calibrator
from ml.evaluation.scope import operating_curve, threshold_keeping
from ml.nn.text_encoder import TextEncoder
from ml.serving.intents import (
    ENCODED,
    Evidence,
    Head,
    IntentModel,
    Member,
    Route,
    log_odds,
    mixture,
    scope_signs,
)
from ml.tasks.intents_config import IntentsConfig
from ml.training.intent_tuning import Tuning, name_in_words, tune_on_intents

GRAM_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
# With fewer held-out texts out of scope, nothing can be learned of the signs' weights.
LEAST_OUTSIDE = 20
# What the signs weigh then: certainty and nearness, which need no example of what is out of scope.
PLAIN_WEIGHTS = [1.0, 1.0, 0.0, 0.0]
HEAD_ITERATIONS = 1_000

Tick = Callable[[int, int], None]
Grams = tuple[NDArray[np.float32], Head]


def encoded_rows(texts: Sequence[str]) -> NDArray[np.bool_]:
    """(texts,): which may go through the encoder."""
    return np.array([language_of(text) in ENCODED for text in texts], dtype=bool)


def fit_grams(data: LabelledTexts, rows: Rows, settings: IntentsConfig) -> Grams:
    """Inverse frequencies of n-grams, (buckets,), and their head, trained on these rows."""
    codes = data.codes()
    known = rows[codes[rows] >= 0]
    # The names come along as one more example of each intent: with few examples they say much.
    names = [name_in_words(name) for name in data.intents]
    counts = gram_counts([*(data.texts[row] for row in known), *names])
    inverse = inverse_frequency(counts)
    wanted = np.concatenate([codes[known], np.arange(len(names))])
    return inverse, fit_head(weighted(counts, inverse), wanted, len(names), settings.head_strength)


def fit_model(
    data: LabelledTexts, rows: Rows, settings: IntentsConfig, pretrained: TextEncoder, grams: Grams, tick: Tick
) -> IntentModel:
    """The parts trained on these rows. `tick(step, steps)` is called after each step of tuning."""
    encoded, codes = encoded_rows(data.texts), data.codes()
    rows = rows[encoded[rows]]
    known = rows[codes[rows] >= 0]
    if len(np.unique(codes[known])) < len(data.intents):
        # An encoder that never saw some of the intents would only ever answer the others.
        return IntentModel(*grams, [], np.zeros((0, 1), dtype=np.float32))
    names = [name_in_words(name) for name in data.intents]
    named = np.flatnonzero(encoded_rows(names))
    texts = [*(data.texts[row] for row in known), *(names[code] for code in named)]
    wanted = np.concatenate([codes[known], named])
    members, neighbors = [], np.zeros((0, 1), dtype=np.float32)
    for number in range(settings.members if settings.tune else 1):
        encoder = _tuned(pretrained, data, rows, codes, settings, number, tick) if settings.tune else pretrained
        vectors = encoder.encode(texts)
        members.append(Member(encoder, fit_head(vectors, wanted, len(names), settings.head_strength)))
        neighbors = neighbors if number else vectors[: len(known)]
    return IntentModel(*grams, members, neighbors)


def fit_head(vectors: NDArray[np.float32] | csr_matrix, codes: Rows, intents: int, strength: float) -> Head:
    """Multinomial logistic regression with a ridge; an intent without a row gets a logit that never wins."""
    from sklearn.linear_model import LogisticRegression

    present = np.unique(codes)
    weight = np.zeros((intents, vectors.shape[1]), dtype=np.float32)
    bias = np.full(intents, -30.0, dtype=np.float32)
    if len(present) == 1:
        bias[present] = 0.0
        return Head(weight, bias)
    fitted = LogisticRegression(C=strength, max_iter=HEAD_ITERATIONS).fit(vectors, codes)
    if len(present) == 2:
        # Two classes come as one logit, that of the second one.
        weight[present[1]], bias[present] = fitted.coef_[0], [0.0, fitted.intercept_[0]]
        return Head(weight, bias)
    weight[present], bias[present] = fitted.coef_, fitted.intercept_
    return Head(weight, bias)


def fit_route(evidence: Evidence, codes: Rows, settings: IntentsConfig, *, gram_share: float | None = None) -> Route:
    """Weights, calibration and line from held-out texts with these codes, -1 for out of scope."""
    inside = evidence.rows(codes >= 0)
    known = codes[codes >= 0]
    share = best_gram_share(inside, known) if gram_share is None else gram_share
    probabilities = mixture(inside, share)
    right = probabilities.argmax(axis=1) == known
    signs, outside = scope_signs(inside, share), scope_signs(evidence.rows(codes < 0), share)
    centre, spread = signs.mean(axis=0), signs.std(axis=0) + 1e-9
    weights = _sign_weights((signs - centre) / spread, (outside - centre) / spread)
    scores, others = (signs - centre) / spread @ weights, (outside - centre) / spread @ weights
    return Route(
        gram_share=share,
        calibrator=_calibrator(log_odds(probabilities.max(axis=1)), right),
        centre=centre.tolist(),
        spread=spread.tolist(),
        weights=weights.tolist(),
        threshold=threshold_keeping(scores, settings.keep_in_scope),
        curve=operating_curve(scores, right, others),
    )


def best_gram_share(evidence: Evidence, codes: Rows) -> float:
    """The share under which the true intents of these texts are likeliest."""
    true = np.arange(len(codes)), codes
    return max(GRAM_SHARES, key=lambda share: float(np.log(mixture(evidence, share)[true] + 1e-12).mean()))


def _sign_weights(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression

    if len(outside) < LEAST_OUTSIDE:
        return np.array(PLAIN_WEIGHTS)
    signs = np.concatenate([inside, outside])
    labels = np.concatenate([np.ones(len(inside)), np.zeros(len(outside))])
    found: NDArray[np.float64] = LogisticRegression(class_weight="balanced").fit(signs, labels).coef_[0]
    return found


def _calibrator(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> Calibrator:
    if len(np.unique(right)) < 2:
        return PlattCalibrator(1.0, 0.0)
    return fit_calibrator("platt", scores, right.astype(np.float64))


def _tuned(
    pretrained: TextEncoder,
    data: LabelledTexts,
    rows: Rows,
    codes: Rows,
    settings: IntentsConfig,
    number: int,
    tick: Tick,
) -> TextEncoder:
    steps = max(settings.least_steps, settings.epochs * len(rows) // settings.batch_texts)
    tuning = Tuning(
        steps=steps,
        batch=settings.batch_texts,
        learning_rate=settings.learning_rate,
        layer_decay=settings.layer_decay,
        smoothing=settings.smoothing,
        contrast=settings.contrast,
        device=settings.device,
    )
    return tune_on_intents(
        pretrained,
        [data.texts[row] for row in rows],
        codes[rows],
        data.intents,
        tuning,
        seed=settings.seed + number,
        tick=lambda step: tick(number * steps + step, settings.members * steps),
    )
