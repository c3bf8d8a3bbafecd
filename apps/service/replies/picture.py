"""The risk-coverage curve as a picture: which share of the drafts goes out, and how many of these are wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.service.replies.thresholds import Sent
from console.figures import percent
from console.pictures import Point, Tick

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 40
TICKS = 5
# The least that the picture is high, as an error rate.
LEAST_HEIGHT = 0.02


@dataclass(frozen=True)
class CoveragePicture:
    """Places in a box of WIDTH by HEIGHT; the curves are `points` of a polyline. `wanted` is the set error rate."""

    risk: str
    bound: str
    points: Sequence[Point]
    across: Sequence[Tick]
    up: Sequence[Tick]
    wanted: float
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    floor: int = HEIGHT - BOTTOM


def picture_of(
    curve: Sequence[Mapping[str, Any]], marks: Mapping[str, Sent | None], *, error_rate: float
) -> CoveragePicture:
    """`curve` as `risk_coverage_curve` gives it; `marks` by kind what thresholds would send, None for nothing."""
    risks = [each[name] for each in curve for name in ("risk", "risk_bound")]
    most = max(LEAST_HEIGHT, 1.5 * error_rate, *risks, *(mark.risk for mark in marks.values() if mark))

    def across(coverage: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * coverage, 1)

    def up(risk: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * risk / most, 1)

    def line(name: str) -> str:
        return " ".join(f"{across(each['coverage'])},{up(each[name])}" for each in curve)

    return CoveragePicture(
        risk=line("risk"),
        bound=line("risk_bound"),
        points=[Point(across(mark.coverage), up(mark.risk), kind, words(mark)) for kind, mark in marks.items() if mark],
        across=[Tick(across(share / 5), percent(share / 5, 0)) for share in range(6)],
        up=[Tick(up(most * step / (TICKS - 1)), percent(most * step / (TICKS - 1), 1)) for step in range(TICKS)],
        wanted=up(error_rate),
    )


def words(mark: Sent) -> str:
    shares = f"{percent(mark.coverage, 0)} are sent, {percent(mark.risk, 1)} of these wrong"
    return f"from a confidence of {mark.send_above:.2f}: {shares}"
