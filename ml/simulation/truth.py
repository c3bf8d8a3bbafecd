"""The world's own view of what comes next, against which predictors can be judged."""

import numpy as np
from numpy.typing import NDArray

from ml.simulation.shop import Shop


def next_item_probabilities(shop: Shop, *, subject: int, time: float, last_item: int | None) -> NDArray[np.float64]:
    """Distribution of the next item over the catalogue, shape (items,), from taste, habits and the intent at `time`.

    It leaves out the detours to complements after a cart, and the exclusion of the item just seen; both are small.
    """
    catalogue = shop.catalogue
    categories = np.arange(catalogue.categories)
    utility = shop.item_utilities(np.full(len(categories), subject), categories, np.full(len(categories), time))
    chosen = np.exp(utility - utility.max(axis=1, keepdims=True))
    chosen /= chosen.sum(axis=1, keepdims=True)
    loyalty = np.where(catalogue.consumable, shop.config.loyalty_rate, 0.0)
    chosen *= 1.0 - loyalty[:, None]
    usual = shop.population.usual[subject]
    chosen[categories, usual % catalogue.items_per_category] += loyalty
    return (_next_categories(shop, subject, time, last_item)[:, None] * chosen).reshape(-1)


def _next_categories(shop: Shop, subject: int, time: float, last_item: int | None) -> NDArray[np.float64]:
    config, catalogue, population = shop.config, shop.catalogue, shop.population
    routine = catalogue.routines[population.intent_at(np.array([subject]), np.array([time]))[0]]
    if population.direction[subject] < 0:
        routine = routine[::-1]
    probability = np.full(catalogue.categories, config.distraction_rate / catalogue.categories)
    follows = 1.0 - config.distraction_rate
    place = -1 if last_item is None else _place_in(routine, last_item // catalogue.items_per_category)
    if place is None:
        probability[routine] += follows / len(routine)
        return probability
    if place >= 0:
        probability[routine[place]] += follows * config.compare_rate
        follows *= 1.0 - config.compare_rate
    probability[routine[min(place + 1, len(routine) - 1)]] += follows
    return probability


def _place_in(routine: NDArray[np.int64], category: int) -> int | None:
    places = np.flatnonzero(routine == category)
    return int(places[0]) if len(places) else None
