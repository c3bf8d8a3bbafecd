"""A score without a model: fixed points for what every fraud desk looks at, so that anybody can add them up."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from apps.risk.engine import ReasonCode

Features = Mapping[str, float | None]
MOST_POINTS = 100


@dataclass(frozen=True)
class Points:
    """`points` count where `holds` is true of the feature's value."""

    code: str
    feature: str
    points: int
    holds: Callable[[float], bool]
    text: Callable[[float], str]


TABLE = (
    Points("card_fraud", "card_known_frauds_28d", 60, lambda n: n >= 1, lambda n: _known("this card", n)),
    Points("device_fraud", "device_known_frauds_28d", 50, lambda n: n >= 1, lambda n: _known("this device", n)),
    Points("customer_fraud", "customer_known_frauds_28d", 40, lambda n: n >= 1, lambda n: _known("this customer", n)),
    Points(
        "counterparty_fraud",
        "counterparty_known_frauds_28d",
        30,
        lambda n: n >= 1,
        lambda n: _known("this counterparty", n),
    ),
    Points(
        "amount_far_above_usual",
        "amount_to_customer_mean_30d",
        30,
        lambda times: times >= 4,
        lambda times: f"the amount is {times:.1f} times this customer's 30-day mean",
    ),
    Points(
        "many_within_an_hour",
        "customer_count_1h",
        20,
        lambda n: n >= 5,
        lambda n: f"this customer has paid {n:.0f} times within an hour",
    ),
    Points(
        "many_customers_on_device",
        "device_customers_7d",
        20,
        lambda n: n >= 4,
        lambda n: f"{n:.0f} customers have paid from this device within 7 days",
    ),
    Points(
        "new_counterparty",
        "new_counterparty",
        3,
        lambda flag: flag == 1,
        lambda flag: "this customer has not paid this counterparty before",
    ),
    Points("night", "is_night", 3, lambda flag: flag == 1, lambda flag: "it was made at night"),
)


def _known(party: str, frauds: float) -> str:
    return f"{party} had {frauds:.0f} known fraud{'' if frauds == 1 else 's'} in the last 28 days"


def points_score(features: Features) -> tuple[float, list[ReasonCode]]:
    """(score from 0 to 1, reasons with the most points first): the points that hold, of MOST_POINTS, at most all."""
    held = [
        (row, value)
        for row in TABLE
        if (value := features.get(row.feature)) is not None and math.isfinite(value) and row.holds(value)
    ]
    held.sort(key=lambda pair: -pair[0].points)
    reasons = [
        ReasonCode(row.code, row.text(value), row.feature, value, row.points / MOST_POINTS) for row, value in held
    ]
    return min(1.0, sum(reason.part for reason in reasons)), reasons
