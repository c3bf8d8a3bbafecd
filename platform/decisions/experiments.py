"""What every experiment needs: which arm a unit belongs to, and how the arms' rates differ.

Units such as readers or conversations are drawn, and not what they do, so what one unit does stands together: the
variance of a rate is that of a ratio of two sums over units, by the delta method (A. Deng et al., "Applying the delta
method in metric analytics", KDD 2018, section 3.1).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

CERTAINTY = 1.959964  # 95 %
LEAST_UNITS = 30

Interval = tuple[float, float]


def arm_of(experiment_id: UUID, unit: bytes, shares: Sequence[float]) -> int:
    """The arm (from 0) of a unit, such as a subject's key: always the same for one experiment, and independent of every
    other. The chance of each arm is its share."""
    digest = hashlib.sha256(experiment_id.bytes + unit).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for arm, share in enumerate(shares):
        place -= share
        if place < 0:
            return arm
    return len(shares) - 1


@dataclass(frozen=True)
class Ratio:
    """A rate over the units of an arm, such as clicks by impressions: how many units have a `whole`, and over these the
    sums of whole w, part p, w w, p p and w p."""

    units: int = 0
    whole: float = 0.0
    part: float = 0.0
    whole_squared: float = 0.0
    part_squared: float = 0.0
    products: float = 0.0

    @property
    def value(self) -> float | None:
        return self.part / self.whole if self.whole else None

    @property
    def variance(self) -> float | None:
        """Of the rate; None for fewer units than LEAST_UNITS."""
        rate = self.value
        if rate is None or self.units < LEAST_UNITS:
            return None
        # The sum over units of (p - rate w) squared; its mean is 0.
        residual = self.part_squared - 2 * rate * self.products + rate * rate * self.whole_squared
        return self.units / (self.units - 1) * max(residual, 0.0) / self.whole**2

    @property
    def interval(self) -> Interval | None:
        """Holds the true rate 95 times of 100; None where there are too few units."""
        rate, variance = self.value, self.variance
        return None if rate is None or variance is None else _around(rate, variance)


def difference(ratio: Ratio, control: Ratio) -> tuple[float, Interval] | None:
    """How much higher a rate is than the control's, with its interval; None where there are too few units."""
    one, other = ratio.value, control.value
    if one is None or other is None or ratio.variance is None or control.variance is None:
        return None
    return one - other, _around(one - other, ratio.variance + control.variance)


def _around(value: float, variance: float) -> Interval:
    half = CERTAINTY * math.sqrt(variance)
    return value - half, value + half
