"""What the shops sell, in generic words."""

from ml.simulation.themes.grocery import GROCERY
from ml.simulation.themes.outdoor import OUTDOOR
from ml.simulation.themes.theme import Theme

THEMES: dict[str, Theme] = {theme.name: theme for theme in (OUTDOOR, GROCERY)}
