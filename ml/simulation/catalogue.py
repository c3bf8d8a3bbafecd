"""The goods of a world: what a client sees of them, and the latent vectors that only the world knows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.simulation.config import WorldConfig
from ml.simulation.themes import THEMES
from ml.simulation.themes.theme import Category, Theme

STYLES = 6
DAY = 86_400.0
# In place of a category or an item where there is none.
NOWHERE = -1


@dataclass(frozen=True)
class Catalogue:
    """Arrays over the items, which lie category by category: item i belongs to category i // items_per_category.

    vector (items, STYLES) latent; fame (items,) log popularity; drift_period (items,) in days and drift_phase in
    radians: how its fame swings with time; routines (intents, steps) and complement (categories,) hold category
    indices, NOWHERE where there is no complement.
    """

    theme: Theme
    ids: list[str]
    index: dict[str, int]
    items_per_category: int
    vector: NDArray[np.float64]
    price: NDArray[np.float64]
    available: NDArray[np.bool_]
    hidden: NDArray[np.bool_]
    fame: NDArray[np.float64]
    drift_period: NDArray[np.float64]
    drift_phase: NDArray[np.float64]
    routines: NDArray[np.int64]
    complement: NDArray[np.int64]
    consumable: NDArray[np.bool_]
    rows: list[dict[str, Any]]

    @property
    def categories(self) -> int:
        return len(self.complement)

    def items_of(self, category: NDArray[np.int64]) -> NDArray[np.int64]:
        """Item indices of each category, shape (len(category), items_per_category)."""
        return category[:, None] * self.items_per_category + np.arange(self.items_per_category)

    def fame_at(self, item: NDArray[np.int64], time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log popularity at Unix seconds `time`, of the broadcast shape; minus infinity for hidden items."""
        swing = 0.7 * np.sin(2 * np.pi * time / (DAY * self.drift_period[item]) + self.drift_phase[item])
        return np.where(self.hidden[item], -np.inf, self.fame[item] + swing)


def build_catalogue(config: WorldConfig, generator: np.random.Generator) -> Catalogue:
    theme = THEMES[config.theme]
    position = {category.name: index for index, category in enumerate(theme.categories)}
    count = len(theme.categories) * config.items_per_category
    in_category = np.arange(count).reshape(-1, config.items_per_category) % STYLES
    style = generator.permuted(in_category, axis=1).reshape(-1)
    hidden = generator.random(count) < config.hidden_share
    available = generator.random(count) >= config.unavailable_share
    # A category of which nothing shows would stop every routine that passes through it.
    hidden[:: config.items_per_category] = False
    price = _draw_prices(theme, config.items_per_category, generator)
    ids = [f"{theme.name[0]}{number:04d}" for number in range(1, count + 1)]
    return Catalogue(
        theme=theme,
        ids=ids,
        index={item_id: index for index, item_id in enumerate(ids)},
        items_per_category=config.items_per_category,
        vector=np.eye(STYLES)[style] + generator.normal(scale=0.15, size=(count, STYLES)),
        price=price,
        available=available,
        hidden=hidden,
        fame=generator.gumbel(scale=1.0, size=count),
        drift_period=generator.uniform(30, 180, size=count),
        drift_phase=generator.uniform(0, 2 * np.pi, size=count),
        routines=np.array([[position[name] for name in routine] for routine in theme.routines.values()]),
        complement=np.array([position.get(theme.complements.get(each.name, ""), NOWHERE) for each in theme.categories]),
        consumable=np.array([each.consumable for each in theme.categories]),
        rows=_write_rows(theme, ids, style, price, available, hidden, generator),
    )


def _draw_prices(theme: Theme, items_per_category: int, generator: np.random.Generator) -> NDArray[np.float64]:
    lowest = np.repeat([category.lowest_price for category in theme.categories], items_per_category)
    highest = np.repeat([category.highest_price for category in theme.categories], items_per_category)
    price = lowest + (highest - lowest) * generator.beta(1.5, 3.0, size=len(lowest))
    return np.floor(price * 10) / 10 - 0.01


def _write_rows(
    theme: Theme,
    ids: list[str],
    style: NDArray[np.int64],
    price: NDArray[np.float64],
    available: NDArray[np.bool_],
    hidden: NDArray[np.bool_],
    generator: np.random.Generator,
) -> list[dict[str, Any]]:
    per_category = len(ids) // len(theme.categories)
    rows = []
    for index, item_id in enumerate(ids):
        place = index % per_category
        category = theme.categories[index // per_category]
        if place == 0:
            wordings = generator.permutation(len(theme.qualities) * STYLES)
        quality, option = divmod(int(wordings[place]), STYLES)
        brand = theme.brands[2 * style[index] + int(generator.integers(2))]
        words = _describe(theme, category, theme.qualities[quality], theme.options[category.option][option])
        rows.append(
            {
                "id": item_id,
                **words,
                "brand": brand,
                "price": round(float(price[index]), 2),
                "currency": theme.currency,
                "available": bool(available[index]),
                "hidden": bool(hidden[index]),
            }
        )
    return rows


def _describe(theme: Theme, category: Category, quality: str, option: str) -> dict[str, Any]:
    attributes = {category.option: option, "quality": quality.lower()}
    if category.material:
        attributes["material"] = category.material
    uses = [name for name, routine in theme.routines.items() if category.name in routine]
    purpose = f" Made for: {', '.join(uses)}." if uses else ""
    return {
        "title": f"{quality} {category.noun}, {option}",
        "description": f"{quality} {category.noun} ({option}) from our range of {category.name.lower()}.{purpose}",
        "categories": [category.department, category.name],
        "attributes": attributes,
    }
