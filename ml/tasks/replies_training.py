"""The parts of the replies model and how they are weighed."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from ml.data.labelled_texts import language_of
from ml.data.reply_pairs import ReplyPairs, Rows, reply_codes
from ml.data.vocabulary import Vocabulary
from ml.evaluation.calibration import Calibrator, fit_calibrator
from ml.nn.reply_encoder import ReplyEncoder
from ml.nn.text_encoder import TextEncoder, encoder_name, pretrained_encoder
from ml.serving.bm25 import Bm25
from ml.serving.intents import ENCODED
from ml.serving.replies import share_odds
from ml.serving.reply_inputs import BUCKETS, event_vocabulary, read_conversations, read_replies
from ml.tasks.replies_config import RepliesConfig
from ml.training.reply_tuning import Examples

# The pretrained encoder reads along where at least this share of the replies is in its language.
ENCODED_SHARE = 0.05
# Keeps the mixture's weights finite where one part alone ranks all right.
RIDGE = 1e-3

Doubles = NDArray[np.float64]


def encoder_for(pairs: ReplyPairs, rows: Rows) -> TextEncoder | None:
    """The pretrained encoder, where there are texts that it was made for and it is installed."""
    if np.mean([language_of(pairs.replies[row]) in ENCODED for row in rows]) < ENCODED_SHARE:
        return None
    try:
        return pretrained_encoder(encoder_name())
    except ValueError:
        return None


def examples_of(pairs: ReplyPairs, train: Rows, encoder: TextEncoder | None, settings: RepliesConfig) -> Examples:
    """All pairs as the network reads them; of the events those names that occur in training."""
    events = pairs.events_of(np.arange(len(pairs)))
    known = event_vocabulary([events[row] for row in train]) if settings.events else Vocabulary([], [])
    return Examples(
        asked=read_conversations(pairs.conversations, encoder),
        replies=read_replies(pairs.replies, encoder),
        events=events,
        codes=reply_codes(pairs.replies),
        vocabulary=known,
    )


def fresh_network(examples: Examples, settings: RepliesConfig) -> ReplyEncoder:
    return ReplyEncoder(
        buckets=BUCKETS,
        dimension=settings.dimension,
        dropout=settings.dropout,
        word_dropout=settings.word_dropout,
        text_dimension=examples.replies.text.shape[1],
        items=len(examples.vocabulary.items),
        types=len(examples.vocabulary.types),
    )


def word_statistics(examples: Examples, rows: Rows) -> Bm25:
    return Bm25.fit(examples.replies.counts[rows])


def fit_mixture(signals: Doubles) -> Doubles:
    """Weights (SIGNALS,) of 0 or more under which the first reply of each list is likeliest; signals
    (lists, replies, SIGNALS). A softmax over each list, with a small ridge."""
    # In units of their spread, so that signals of any size are found alike.
    scale = signals.std(axis=(0, 1)) + 1e-9
    scaled = signals / scale

    def loss(weights: Doubles) -> tuple[float, Doubles]:
        logits = scaled @ weights
        share = softmax(logits, axis=1)
        gradient = np.einsum("ln,lns->s", share, scaled) - scaled[:, 0].sum(axis=0)
        value = -log_softmax(logits, axis=1)[:, 0].mean() + RIDGE * weights @ weights
        return float(value), gradient / len(signals) + 2.0 * RIDGE * weights

    parts = signals.shape[2]
    found = minimize(loss, np.ones(parts), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * parts)
    weights: Doubles = found.x / scale
    return weights


def fit_calibration(*parts: Doubles) -> Calibrator:
    """Of each list's best reply, the first one being right; parts (lists, replies) may have lists of other lengths."""
    odds = [share_odds(logits) for logits in parts]
    right = np.concatenate([each.argmax(axis=1) == 0 for each in odds])
    if 0.0 < right.mean() < 1.0:
        return fit_calibrator("platt", np.concatenate([each.max(axis=1) for each in odds]), right)
    # Always right, or never: all of the lists tells more.
    first = [np.arange(each.size) % each.shape[1] == 0 for each in odds]
    return fit_calibrator("platt", np.concatenate([each.ravel() for each in odds]), np.concatenate(first))
