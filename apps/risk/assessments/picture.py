"""Thresholds as a picture: what is expected to be lost by how many alerts a day, and where the desk stands on it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.pictures import Point, Tick

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 40
TICKS = 5


@dataclass(frozen=True)
class ThresholdPicture:
    """Places in a box of WIDTH by HEIGHT; the curves are `points` of a polyline. `capacity` is None off the scale."""

    curve_now: str
    curve_then: str
    points: Sequence[Point]
    across: Sequence[Tick]
    up: Sequence[Tick]
    capacity: float | None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    floor: int = HEIGHT - BOTTOM


def picture_of(now: Mapping[str, Any], then: Mapping[str, Any], *, daily_capacity: int) -> ThresholdPicture:
    """Of what `thresholds_of` gives for two settings: alerts a day across, on a logarithmic scale, and up the expected
    cost of 1,000 transactions."""
    marks = [("now", now["current"]), ("then", then["current"]), ("best", then["suggested"])]
    every = [*now["curve"], *then["curve"], *(mark for _, mark in marks)]
    most_alerts = max(each["alerts_a_day"] for each in every) or 1.0
    most_cost = max(each["cost_per_1000"] for each in every) or 1.0

    def across(alerts: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * math.log1p(alerts) / math.log1p(most_alerts), 1)

    def up(cost: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * cost / most_cost, 1)

    def line(curve: Sequence[Mapping[str, Any]]) -> str:
        return " ".join(f"{across(each['alerts_a_day'])},{up(each['cost_per_1000'])}" for each in curve)

    points = [
        Point(across(mark["alerts_a_day"]), up(mark["cost_per_1000"]), kind, _words(mark)) for kind, mark in marks
    ]
    alerts = [10.0**power for power in range(-1, math.ceil(math.log10(most_alerts)) + 1) if 10.0**power <= most_alerts]
    costs = [most_cost * step / (TICKS - 1) for step in range(TICKS)]
    return ThresholdPicture(
        curve_now=line(now["curve"]),
        curve_then=line(then["curve"]),
        points=points,
        across=[Tick(across(each), f"{each:,g}") for each in alerts],
        up=[Tick(up(each), f"{each:,.0f}") for each in costs],
        capacity=across(daily_capacity) if daily_capacity <= most_alerts else None,
    )


def _words(mark: Mapping[str, Any]) -> str:
    return f"{mark['alerts_a_day']:,.1f} alerts a day, {mark['cost_per_1000']:,.0f} expected of 1,000 transactions"
