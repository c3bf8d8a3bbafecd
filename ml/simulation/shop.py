"""The fixed part of a world, which everything that happens in it depends on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.simulation.catalogue import Catalogue, build_catalogue
from ml.simulation.config import WorldConfig
from ml.simulation.subjects import Population, build_population


@dataclass(frozen=True)
class Shop:
    config: WorldConfig
    catalogue: Catalogue
    population: Population

    def affinity(self, subject: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.float64]:
        """How well items suit subjects, about 0 to 1; subject (rows,), item (rows, count) -> (rows, count)."""
        return np.einsum("rs,rcs->rc", self.population.taste[subject], self.catalogue.vector[item])

    def item_utilities(
        self, subject: NDArray[np.int64], category: NDArray[np.int64], time: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Log weight of each item of the category in a fresh choice; all (rows,) -> (rows, items_per_category)."""
        items = self.catalogue.items_of(category)
        taste = self.config.taste_sharpness * self.affinity(subject, items)
        return taste + self.catalogue.fame_at(items, time[:, None])

    def cart_probabilities(self, subject: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probability that a looked-at item goes into the cart, shape (rows,): what suits is carted more often."""
        suits = np.clip(0.4 + self.affinity(subject, item[:, None])[:, 0], 0.1, 1.6)
        return np.where(self.catalogue.available[item], np.minimum(self.config.cart_rate * suits, 1.0), 0.0)


def build_shop(config: WorldConfig, seed: int) -> Shop:
    catalogue = build_catalogue(config, np.random.default_rng([seed, 1]))
    return Shop(config, catalogue, build_population(config, catalogue, np.random.default_rng([seed, 2])))
