"""The Fraud Detection Handbook's way to judge fraud models (Le Borgne et al., 2022, chapters 4 and 5).

A fold has a week of training, a week of delay, in which labels are not yet known, and a week of test. Customers who are
known to be compromised on a test day are left out of that day. Days are counted from any fixed day.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.classification import area_under_roc, average_precision

WEEK = 7
CARDS = 100

Days = NDArray[np.integer]


@dataclass(frozen=True)
class Fold:
    """Days of one fold, by the first day of its training week."""

    start: int

    @property
    def train(self) -> range:
        return range(self.start, self.start + WEEK)

    @property
    def test(self) -> range:
        return range(self.start + 2 * WEEK, self.start + 3 * WEEK)


def within(day: Days, days: range) -> NDArray[np.bool_]:
    """Which transactions lie on these consecutive days."""
    return (day >= days.start) & (day < days.stop)


def unknown_rows(fold: Fold, day: Days, customer: NDArray, fraud: NDArray) -> NDArray[np.int64]:
    """Row numbers of the test week without customers known to be compromised by then.

    Known on a test day are those with a fraud in the training week or since then up to seven days before the day
    before, as labels arrive a week late.
    """
    compromised = set(customer[within(day, fold.train) & (fraud == 1)].tolist())
    rows = []
    for number, test_day in enumerate(fold.test):
        # The label of day d is there on day d + 8.
        revealed = fold.train.stop + number - 1
        compromised |= set(customer[(day == revealed) & (fraud == 1)].tolist())
        today = np.flatnonzero(day == test_day)
        rows.append(today[~np.isin(customer[today], list(compromised))])
    return np.concatenate(rows)


def card_precision(probability: NDArray, fraud: NDArray, customer: NDArray, day: Days, *, cards: int = CARDS) -> float:
    """Mean over the days of the share of the `cards` customers with the highest scores who have a fraud that day.

    A customer scores by the highest of the day's transactions. Those whose fraud was found on an earlier day are no
    longer counted. The share is of `cards`, also where fewer customers are active. Raises ValueError without a row.
    """
    if not len(day):
        raise ValueError("card precision needs a transaction")
    found: NDArray = np.zeros(0, dtype=customer.dtype)
    shares = []
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~np.isin(customer, found))
        who, place = np.unique(customer[rows], return_inverse=True)
        highest = np.full(len(who), -np.inf)
        np.maximum.at(highest, place, probability[rows])
        defrauded = np.bincount(place, weights=fraud[rows], minlength=len(who)) > 0
        chosen = np.argsort(-highest, kind="stable")[:cards]
        shares.append(defrauded[chosen].sum() / cards)
        found = np.append(found, who[chosen][defrauded[chosen]])
    return float(np.mean(shares))


def fraud_metrics(probability: NDArray, fraud: NDArray, customer: NDArray, day: Days) -> dict[str, float]:
    """auc, average_precision and card_precision_100 of scores that need not be probabilities."""
    return {
        "auc": area_under_roc(probability, fraud),
        "average_precision": average_precision(probability, fraud),
        "card_precision_100": card_precision(probability, fraud, customer, day),
    }
