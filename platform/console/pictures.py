"""Parts of pictures that the server draws as SVG."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """`kind` says how it is drawn; the words show where the pointer rests."""

    x: float
    y: float
    kind: str
    words: str


@dataclass(frozen=True)
class Tick:
    at: float
    words: str
