"""Links as a picture: the subject in the middle, its things around it, and outside who else used them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from apps.risk.links.selectors import Links, Node

WIDTH, HEIGHT = 920, 520
INNER, OUTER = 130.0, 215.0
# The box is wider than it is high.
STRETCH = 1.7
LABEL_BELOW = 22.0


@dataclass(frozen=True)
class Spot:
    node: Node
    x: float
    y: float
    words: str

    @property
    def below(self) -> float:
        """Where its label stands."""
        return self.y + LABEL_BELOW


@dataclass(frozen=True)
class Line:
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Picture:
    spots: Sequence[Spot]
    lines: Sequence[Line]
    left_out: int
    width: int = WIDTH
    height: int = HEIGHT


def picture_of(links: Links) -> Picture | None:
    """Places of the nodes; None where the subject is tied to nothing."""
    if len(links.nodes) < 2:
        return None
    inner = [node for node in links.nodes[1:] if node.kind != "subject"]
    outer = [node for node in links.nodes[1:] if node.kind == "subject"]
    angles = {node.key: 2 * math.pi * place / len(inner) for place, node in enumerate(inner)}
    # Who used the same things lies behind them, so that lines seldom cross.
    behind = {node.key: [angles[edge.one] for edge in links.edges if edge.other == node.key] for node in outer}
    wanted = {key: _towards(found) for key, found in behind.items()}
    for place, node in enumerate(sorted(outer, key=lambda node: (wanted[node.key], node.key))):
        angles[node.key] = 2 * math.pi * place / len(outer)
    spots = [Spot(links.nodes[0], WIDTH / 2, HEIGHT / 2, _words(links.nodes[0]))]
    for node in links.nodes[1:]:
        radius = OUTER if node.kind == "subject" else INNER
        x = WIDTH / 2 + STRETCH * radius * math.cos(angles[node.key])
        y = HEIGHT / 2 + radius * math.sin(angles[node.key])
        spots.append(Spot(node, round(x, 1), round(y, 1), _words(node)))
    lines = [
        Line(spots[edge.one].x, spots[edge.one].y, spots[edge.other].x, spots[edge.other].y) for edge in links.edges
    ]
    return Picture(spots, lines, links.left_out)


def _towards(angles: Sequence[float]) -> float:
    """The mean direction, from 0 to a whole turn."""
    mean = math.atan2(sum(math.sin(angle) for angle in angles), sum(math.cos(angle) for angle in angles))
    return mean % (2 * math.pi)


def _words(node: Node) -> str:
    frauds = f", {node.frauds} known as fraud" if node.frauds else ""
    return f"{node.kind} {node.label}: {node.transactions} transactions{frauds}"
