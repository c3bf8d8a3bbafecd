"""From calibrated probabilities of fraud, amounts and costs to the thresholds of a risk desk.

A transaction is approved, reviewed by a person, or declined, whichever is expected to cost least (Elkan, 2001, The
foundations of cost-sensitive learning, section 1). One pair of thresholds stands for all transactions, chosen on a
sample of them, so that the desk's daily capacity holds. numpy only.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]

# So many places are tried for each threshold, close together where few transactions lie above.
PLACES = 1_500
# A threshold that no probability reaches: that action is never taken. A number that people can read and type.
NEVER = 2.0


@dataclass(frozen=True)
class Costs:
    """What decisions cost, in the currency of the amounts.

    fraud_share: share of its amount that a fraud costs which passes. review: cost of one review. wrong_decline: cost of
    a genuine transaction that is declined. review_catch_share: the share of reviewed frauds that the reviewer
    recognises.
    """

    fraud_share: float = 1.0
    review: float = 5.0
    wrong_decline: float = 20.0
    review_catch_share: float = 0.95

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (np.isfinite(value) and value >= 0.0):
                raise ValueError(f"{name} must be a finite number of 0 or more")
        if self.review_catch_share > 1.0:
            raise ValueError("review_catch_share must lie in 0..1")


@dataclass(frozen=True)
class Thresholds:
    """Probabilities from `review_above` on are reviewed and from `decline_above` on declined; above 1 means never.

    The rest is expected under the sample's own probabilities: cost per 1,000 transactions, beside that of approving
    everything, and the transactions a day that are reviewed, declined, and both (alerts). is_held_by_capacity: a larger
    desk would cost less.
    """

    review_above: float
    decline_above: float
    cost_per_1000: float
    approve_all_cost_per_1000: float
    reviews_a_day: float
    declines_a_day: float
    alerts_a_day: float
    is_held_by_capacity: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Expected:
    """What a pair of thresholds is expected to come to; as in `Thresholds`."""

    cost_per_1000: float
    reviews_a_day: float
    declines_a_day: float
    alerts_a_day: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class CurvePoint:
    """What is expected if all transactions from `threshold` on were reviewed, and none declined."""

    threshold: float
    precision: float
    recall: float
    alerts_a_day: float
    cost_per_1000: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def expected_costs(probability: Doubles, amount: Doubles, costs: Costs) -> tuple[Doubles, Doubles, Doubles]:
    """What approving, reviewing and declining each transaction is expected to cost, each (n,)."""
    approve = probability * costs.fraud_share * amount
    review = costs.review + (1.0 - costs.review_catch_share) * approve
    decline = (1.0 - probability) * costs.wrong_decline
    return approve, review, decline


def choose_thresholds(
    probabilities: ArrayLike,
    amounts: ArrayLike,
    costs: Costs,
    *,
    days: float,
    daily_capacity: float,
    asked: ArrayLike | None = None,
    approved: ArrayLike | None = None,
) -> Thresholds:
    """The pair of thresholds with the least expected cost of which the reviews fit `daily_capacity` on average.

    probabilities (n,) are calibrated and in [0, 1], amounts (n,) 0 or more, both of all transactions of `days` days.
    What is true in asked (n,), none by default, is reviewed however low its probability is. Where that alone is more
    than the capacity, thresholds bring no more reviews than that. What is true in approved (n,), none by default, is
    genuine for sure, whatever its probability is: it is never reviewed, and to decline it is wrong. Of pairs that cost
    the same the higher thresholds are taken: fewer people are troubled. Raises ValueError for values outside their
    range.
    """
    probability, amount, forced, spared = _checked(probabilities, amounts, asked, approved, days)
    if not daily_capacity >= 0:
        raise ValueError("daily_capacity must be 0 or more")
    sample = _Sample.of(probability, amount, forced, spared, costs)
    # Rows: so many of the highest are declined; columns: so many are declined or, unless they are spared, reviewed.
    declined, treated = sample.places[:, None], sample.places[None, :]
    reviewable = sample.reviewable[sample.places]
    approve, review, decline = (
        sample.approve[sample.places],
        sample.review[sample.places],
        sample.decline[sample.places],
    )
    cost = decline[:, None] + review[None, :] - review[:, None] + sample.approve[-1] - approve[None, :]
    cost[treated < declined] = np.inf
    unlimited = cost.min()
    asked_below = sample.asked_below[sample.places]
    reviews = reviewable[None, :] - reviewable[:, None] + asked_below
    cost[reviews > max(daily_capacity * days, asked_below[0])] = np.inf
    # The least first place among equals has the fewest declined, then the fewest treated.
    row, column = np.unravel_index(int(cost.argmin()), cost.shape)
    declines, reviews_chosen = int(sample.places[row]), int(reviews[row, column])
    return Thresholds(
        review_above=sample.threshold(sample.places[column]),
        decline_above=sample.threshold(declines),
        cost_per_1000=float(cost[row, column]) / len(probability) * 1_000,
        approve_all_cost_per_1000=float(expected_costs(probability * ~spared, amount, costs)[0].mean()) * 1_000,
        reviews_a_day=reviews_chosen / days,
        declines_a_day=declines / days,
        alerts_a_day=(declines + reviews_chosen) / days,
        is_held_by_capacity=bool(cost[row, column] > unlimited + 1e-9 * max(1.0, abs(unlimited))),
    )


def expect(
    probabilities: ArrayLike,
    amounts: ArrayLike,
    costs: Costs,
    *,
    days: float,
    review_above: float,
    decline_above: float,
    asked: ArrayLike | None = None,
    approved: ArrayLike | None = None,
) -> Expected:
    """What this pair of thresholds comes to on the sample. Arguments as above."""
    probability, amount, forced, spared = _checked(probabilities, amounts, asked, approved, days)
    approve, review, decline = expected_costs(probability * ~spared, amount, costs)
    declined = probability >= decline_above
    reviewed = ((probability >= review_above) & ~spared | forced) & ~declined
    cost = np.where(declined, decline, np.where(reviewed, review, approve)).sum()
    return Expected(
        cost_per_1000=float(cost) / len(probability) * 1_000,
        reviews_a_day=float(reviewed.sum()) / days,
        declines_a_day=float(declined.sum()) / days,
        alerts_a_day=float((reviewed | declined).sum()) / days,
    )


def threshold_curve(
    probabilities: ArrayLike,
    amounts: ArrayLike,
    costs: Costs,
    *,
    days: float,
    points: int = 50,
    asked: ArrayLike | None = None,
    approved: ArrayLike | None = None,
) -> list[CurvePoint]:
    """At most `points` thresholds with what is expected of each, from the highest down. Arguments as above."""
    probability, amount, forced, spared = _checked(probabilities, amounts, asked, approved, days)
    sample = _Sample.of(probability, amount, forced, spared, costs, places=points)
    alerts = sample.reviewable + sample.asked_below
    frauds = _first(sample.probability * ~sample.spared) + _below(sample.probability * sample.asked)
    total = max(float(frauds[-1]), np.finfo(np.float64).tiny)
    return [
        CurvePoint(
            threshold=sample.threshold(place),
            precision=float(frauds[place] / max(alerts[place], 1)),
            recall=float(frauds[place]) / total,
            alerts_a_day=float(alerts[place]) / days,
            cost_per_1000=float(sample.review[place] + sample.approve[-1] - sample.approve[place])
            / len(probability)
            * 1_000,
        )
        for place in sample.places[1:].tolist()
    ]


@dataclass(frozen=True)
class _Sample:
    """Transactions by falling probability. approve, review, decline (n + 1,): what doing this with the first k costs,
    where those that are asked for are reviewed instead of approved, and those that are spared approved instead of
    reviewed.

    reviewable (n + 1,): how many of the first k are not spared. asked_below (n + 1,): how many of those that are asked
    for are not among the first k. places: numbers k of transactions between which a threshold can lie, from 0; equal
    probabilities stay together.
    """

    probability: Doubles
    asked: NDArray[np.bool_]
    spared: NDArray[np.bool_]
    reviewable: NDArray[np.int64]
    asked_below: NDArray[np.int64]
    approve: Doubles
    review: Doubles
    decline: Doubles
    places: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        probability: Doubles,
        amount: Doubles,
        asked: NDArray[np.bool_],
        spared: NDArray[np.bool_],
        costs: Costs,
        *,
        places: int = PLACES,
    ) -> "_Sample":
        order = np.argsort(-probability, kind="stable")
        falling, asked, spared = probability[order], asked[order], spared[order]
        approve, review, decline = expected_costs(falling * ~spared, amount[order], costs)
        approve, review = np.where(asked, review, approve), np.where(spared, approve, review)
        ends = np.append(np.flatnonzero(np.diff(falling)) + 1, len(falling))
        wanted = np.unique(np.geomspace(1, len(falling), places).astype(np.int64))
        chosen = ends if len(ends) <= places else np.unique(ends[np.searchsorted(ends, wanted)])
        return cls(
            probability=falling,
            asked=asked,
            spared=spared,
            reviewable=_first((~spared).astype(np.int64)),
            asked_below=_below(asked.astype(np.int64)),
            approve=_first(approve),
            review=_first(review),
            decline=_first(decline),
            places=np.concatenate([[0], chosen]),
        )

    def threshold(self, place: int) -> float:
        """The least probability among the first `place`."""
        return float(self.probability[place - 1]) if place else NEVER


def _first(values: NDArray[Any]) -> NDArray[Any]:
    """(n + 1,): the sum of the first k of the values (n,)."""
    return np.concatenate([np.zeros(1, values.dtype), np.cumsum(values)])


def _below(values: NDArray[Any]) -> NDArray[Any]:
    """(n + 1,): the sum of all but the first k of the values (n,)."""
    return values.sum() - _first(values)


def _checked(
    probabilities: ArrayLike, amounts: ArrayLike, asked: ArrayLike | None, approved: ArrayLike | None, days: float
) -> tuple[Doubles, Doubles, NDArray[np.bool_], NDArray[np.bool_]]:
    probability, amount = np.asarray(probabilities, dtype=np.float64), np.asarray(amounts, dtype=np.float64)
    forced, spared = (
        np.zeros(probability.shape, dtype=bool) if each is None else np.asarray(each, dtype=bool)
        for each in (asked, approved)
    )
    if not forced.shape == spared.shape == probability.shape:
        raise ValueError("asked and approved must say of each transaction whether it is or is not")
    if probability.ndim != 1 or probability.shape != amount.shape or not len(probability):
        raise ValueError("probabilities and amounts must be two lists of one length, with at least one transaction")
    if not ((probability >= 0.0) & (probability <= 1.0)).all():
        raise ValueError("probabilities must lie in 0..1")
    if not (np.isfinite(amount) & (amount >= 0.0)).all():
        raise ValueError("amounts must be finite and 0 or more")
    if not days > 0:
        raise ValueError("days must be above 0")
    return probability, amount, forced & ~spared, spared
