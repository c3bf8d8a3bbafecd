"""Frauds that nothing has announced yet: a counterparty that turned bad since it was last known to be good.

Nothing in the amounts or labels tells such a fraud. What tells a little is for how long the counterparty may have been
bad without anybody knowing: the time since its newest settled transaction that is not known as fraud. With a constant
hazard of turning bad, the probability of that is 1 - exp(-rate * time), and it joins what the features tell as one more
possible cause (noisy-or: Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, section 4.3.2).
"""

import numpy as np
from numpy.typing import NDArray

from ml.data.party_log import HISTORY_SECONDS

EXPOSURE = "counterparty_seconds_since_settled_genuine"

Doubles = NDArray[np.float64]


def exposure_of(seconds_since_settled_genuine: NDArray[np.floating]) -> Doubles:
    """Seconds in which each counterparty may have turned bad; a whole history where none of it is known to be good."""
    seconds = seconds_since_settled_genuine.astype(np.float64)
    return np.where(np.isnan(seconds), HISTORY_SECONDS, seconds)


def onset_probability(rate: float, exposure: Doubles) -> Doubles:
    """That the counterparty turned bad meanwhile, in [0, 1); rate a second, exposure in seconds."""
    return -np.expm1(-rate * exposure)


def with_onset(logits: Doubles, rate: float, exposure: Doubles) -> Doubles:
    """Log-odds that what the features tell or the onset makes the transaction a fraud; rate above 0."""
    log_p, log_not_p = -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)
    log_not_onset = -rate * exposure
    with np.errstate(divide="ignore"):  # no time, no onset
        log_onset = np.log(onset_probability(rate, exposure))
    return np.logaddexp(log_p, log_not_p + log_onset) - log_not_p - log_not_onset
