"""A synthetic shop whose truth is known: for demonstrations, live traffic and tests of estimators. numpy only."""

from ml.simulation.config import WorldConfig
from ml.simulation.world import World

__all__ = ["World", "WorldConfig"]
