"""When subjects visit, and the items that they walk past on each visit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.simulation.catalogue import DAY, NOWHERE
from ml.simulation.shop import Shop
from ml.simulation.subjects import Population

# Relative traffic: Monday to Sunday, and hour 0 to 23 in UTC.
WEEKDAYS = np.array([0.8, 0.8, 0.85, 0.9, 1.0, 1.0, 0.95])
HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 12, 13, 12, 10, 10, 11, 13, 16, 19, 20, 17, 10, 5], dtype=float)
SECOND_VISIT_SHARE = 0.1
LONGEST_VISIT = 30
# A complement goes into the cart this many times as often as another item.
WILLING_TO_COMPLETE = 3.0


@dataclass(frozen=True)
class Visits:
    """Arrays over the visits: subject index, start in Unix seconds, intent index."""

    subject: NDArray[np.int64]
    start: NDArray[np.float64]
    intent: NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """Arrays over the items that were looked at: visit index, number of the step in it, item index, carted or not."""

    visit: NDArray[np.int64]
    number: NDArray[np.int64]
    item: NDArray[np.int64]
    carted: NDArray[np.bool_]


def draw_visits(
    population: Population, *, subjects: int, start: float, end: float, generator: np.random.Generator
) -> Visits:
    """Visits of the first `subjects` subjects with start <= time < end (Unix seconds), about one per interval."""
    everyone = np.arange(subjects)
    interval, phase = population.interval[:subjects], population.phase[:subjects]
    first = np.floor((start - phase) / interval).astype(np.int64)
    last = np.floor((end - phase) / interval).astype(np.int64)
    slots = last - first + 1
    subject = np.repeat(everyone, slots)
    slot = first[subject] + np.arange(len(subject)) - np.repeat(np.cumsum(slots) - slots, slots)
    copies = 1 + (generator.random(len(subject)) < SECOND_VISIT_SHARE)
    subject, slot = np.repeat(subject, copies), np.repeat(slot, copies)
    time = phase[subject] + interval[subject] * (slot + generator.uniform(0.2, 0.8, size=len(slot)))
    time = _at_usual_hours(time, generator)
    # 1970-01-01 was a Thursday, day 3 of a week that starts on Monday.
    weekday = (np.floor(time / DAY).astype(np.int64) + 3) % 7
    kept = (time >= start) & (time < end) & (generator.random(len(time)) < WEEKDAYS[weekday])
    subject, time = subject[kept], time[kept]
    order = np.lexsort((time, subject))
    subject, time = subject[order], time[order]
    return Visits(subject=subject, start=time, intent=population.intent_at(subject, time))


def _at_usual_hours(time: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    hour = generator.choice(24, p=HOURS / HOURS.sum(), size=len(time))
    return np.floor(time / DAY) * DAY + 3600.0 * (hour + generator.random(len(time)))


def walk(shop: Shop, visits: Visits, generator: np.random.Generator) -> Steps:
    """Walk all visits at once, one step a round, each along the routine of its intent."""
    config, catalogue = shop.config, shop.catalogue
    length = catalogue.routines.shape[1]
    direction = shop.population.direction[visits.subject]
    place = np.where(direction > 0, 0, length - 1)
    detour = np.full(len(visits.subject), NOWHERE)
    last_item = np.full(len(visits.subject), NOWHERE)
    walking = np.arange(len(visits.subject))
    rounds: list[tuple[NDArray[Any], ...]] = []
    for number in range(LONGEST_VISIT):
        subject = visits.subject[walking]
        on_detour = detour[walking] != NOWHERE
        distracted = ~on_detour & (generator.random(len(walking)) < config.distraction_rate)
        category = catalogue.routines[visits.intent[walking], np.clip(place[walking], 0, length - 1)]
        category = np.where(distracted, generator.integers(catalogue.categories, size=len(walking)), category)
        category = np.where(on_detour, detour[walking], category)
        item = _choose_items(shop, subject, category, visits.start[walking], last_item[walking], generator)
        willingness = np.where(on_detour, WILLING_TO_COMPLETE, 1.0)
        carted = generator.random(len(walking)) < willingness * shop.cart_probabilities(subject, item)
        rounds.append((walking, np.full(len(walking), number), item, carted))

        last_item[walking] = item
        complements = carted & ~on_detour & (generator.random(len(walking)) < config.complement_rate)
        detour[walking] = np.where(complements, catalogue.complement[category], NOWHERE)
        compares = ~carted & (generator.random(len(walking)) < config.compare_rate)
        place[walking] += np.where(distracted | on_detour | compares, 0, direction[walking])
        at_end = ((place[walking] < 0) | (place[walking] >= length)) & (detour[walking] == NOWHERE)
        walking = walking[~at_end & (generator.random(len(walking)) >= config.leave_rate)]
    visit, numbers, items, carts = (np.concatenate(column) for column in zip(*rounds, strict=True))
    order = np.lexsort((numbers, visit))
    return Steps(visit=visit[order], number=numbers[order], item=items[order], carted=carts[order])


def _choose_items(
    shop: Shop,
    subject: NDArray[np.int64],
    category: NDArray[np.int64],
    time: NDArray[np.float64],
    last_item: NDArray[np.int64],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """The usual item of a consumable, or a draw by utility (the Gumbel-max trick); never the item just seen."""
    items = shop.catalogue.items_of(category)
    utility = shop.item_utilities(subject, category, time)
    utility[items == last_item[:, None]] = -np.inf
    fresh = items[np.arange(len(items)), np.argmax(utility + generator.gumbel(size=utility.shape), axis=1)]
    usual = shop.population.usual[subject, category]
    loyal = shop.catalogue.consumable[category] & (generator.random(len(subject)) < shop.config.loyalty_rate)
    return np.where(loyal & (usual != last_item), usual, fresh)
