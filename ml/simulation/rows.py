"""From steps to a table of events, and from the table to dictionaries in the shape of the REST event."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.simulation.catalogue import DAY, NOWHERE, Catalogue
from ml.simulation.shop import Shop
from ml.simulation.subjects import DEVICES, Population
from ml.simulation.visits import Steps, Visits

QUESTIONS = (
    "Is this still in stock?",
    "How long does delivery take?",
    "Can I send it back if it does not suit me?",
    "Which size should I choose?",
    "Does it come in another version?",
    "My last order has not arrived. Where is it?",
    "Is there a cheaper one of the same kind?",
    "The one I received is damaged. What can I do?",
)
REVIEWS = (
    "Not what I hoped for. It is going back.",
    "Below what I expected for the price.",
    "Does the job, nothing more.",
    "Good, I would buy it again.",
    "Exactly what I was looking for.",
)
# The rest is carted straight from a list.
CLICKED_BEFORE_CART = 0.5


@dataclass(frozen=True)
class EventTable:
    """One entry per event in each array: visit index, type name, item index or NOWHERE, value and quantity (NaN where
    absent), time in Unix seconds, and note: an index into QUESTIONS for ask, into REVIEWS for review."""

    visit: NDArray[np.int64]
    type: NDArray[np.str_]
    item: NDArray[np.int64]
    value: NDArray[np.float64]
    quantity: NDArray[np.float64]
    time: NDArray[np.float64]
    note: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.visit)

    def take(self, chosen: NDArray[Any]) -> "EventTable":
        return EventTable(**{name: column[chosen] for name, column in vars(self).items()})


def tabulate(shop: Shop, visits: Visits, steps: Steps, generator: np.random.Generator) -> EventTable:
    """All events of the visits in the order of time: the way to the cart, the till, and what comes around it."""
    config = shop.config
    viewed = visits.start[steps.visit] + _seconds_into_visit(steps, generator)
    price = shop.catalogue.price[steps.item]
    clicked = generator.random(len(viewed)) < np.where(steps.carted, CLICKED_BEFORE_CART, config.click_rate)
    asked = generator.random(len(viewed)) < config.ask_rate
    searched = generator.random(len(viewed)) < np.where(steps.number == 0, config.search_rate, config.search_rate / 10)

    def at_steps(type_name: str, chosen: NDArray[np.bool_], delay: float, **columns: NDArray[Any]) -> EventTable:
        rows = {name: column[chosen] for name, column in columns.items()}
        return _rows(type_name, steps.visit[chosen], steps.item[chosen], viewed[chosen] + delay, **rows)

    return _in_order(
        [
            at_steps("search", searched, -4.0),
            at_steps("view", np.ones(len(viewed), dtype=bool), 0.0),
            at_steps("click", clicked, 3.0),
            at_steps("ask", asked, 5.0, note=generator.integers(len(QUESTIONS), size=len(viewed))),
            at_steps("add_to_cart", steps.carted, 6.0, value=price, quantity=np.ones(len(viewed))),
            *_tabulate_till(shop, visits, steps, viewed, generator),
        ]
    )


def _tabulate_till(
    shop: Shop, visits: Visits, steps: Steps, viewed: NDArray[np.float64], generator: np.random.Generator
) -> list[EventTable]:
    """Purchases, one payment per visit that buys, and reviews some days later."""
    config, catalogue = shop.config, shop.catalogue
    leaving = np.zeros(len(visits.subject))
    np.maximum.at(leaving, steps.visit, viewed)
    checked_out = generator.random(len(visits.subject)) < config.checkout_rate
    bought = steps.carted & checked_out[steps.visit]
    visit, item = steps.visit[bought], steps.item[bought]
    consumable = catalogue.consumable[item // catalogue.items_per_category]
    quantity = np.where(consumable, generator.geometric(0.7, size=len(item)), 1)
    value = np.round(catalogue.price[item] * quantity, 2)
    # Goods pass the till one by one, in the order of the cart.
    paid_at = leaving[visit] + 60.0 + 0.01 * steps.number[bought]
    total = np.zeros(len(visits.subject))
    np.add.at(total, visit, value)
    payers = np.unique(visit)

    reviewed = generator.random(len(visit)) < config.review_rate
    suits = shop.affinity(visits.subject[visit], item[:, None])[:, 0]
    rating = np.clip(np.round(3.0 + 1.8 * suits + generator.normal(scale=0.9, size=len(visit))), 1, 5)[reviewed]
    reviewed_at = paid_at[reviewed] + DAY * generator.uniform(2, 14, size=reviewed.sum())
    return [
        _rows("purchase", visit, item, paid_at, value=value, quantity=quantity),
        _rows("pay", payers, np.full(len(payers), NOWHERE), leaving[payers] + 62.0, value=total[payers].round(2)),
        _rows("review", visit[reviewed], item[reviewed], reviewed_at, value=rating, note=rating.astype(np.int64) - 1),
    ]


def _rows(
    type_name: str,
    visit: NDArray[np.int64],
    item: NDArray[np.int64],
    time: NDArray[np.float64],
    *,
    value: NDArray[np.float64] | float = np.nan,
    quantity: NDArray[np.float64] | float = np.nan,
    note: NDArray[np.int64] | int = 0,
) -> EventTable:
    count = len(visit)
    return EventTable(
        visit=visit,
        type=np.full(count, type_name, dtype="U11"),
        item=item,
        value=np.broadcast_to(np.asarray(value, dtype=float), count),
        quantity=np.broadcast_to(np.asarray(quantity, dtype=float), count),
        time=time,
        note=np.broadcast_to(np.asarray(note, dtype=np.int64), count),
    )


def _in_order(tables: list[EventTable]) -> EventTable:
    columns = {name: np.concatenate([vars(table)[name] for table in tables]) for name in vars(tables[0])}
    table = EventTable(**columns)
    return table.take(np.argsort(table.time, kind="stable"))


def _seconds_into_visit(steps: Steps, generator: np.random.Generator) -> NDArray[np.float64]:
    """Time since the visit began; a step takes at least 10 s, so that what follows a view precedes the next view."""
    dwell = 10.0 + generator.lognormal(mean=3.2, sigma=0.8, size=len(steps.visit))
    before = np.cumsum(dwell) - dwell
    return before - before[np.flatnonzero(steps.number == 0)][_rank(steps.visit)]


def _rank(sorted_values: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 for the first run of equal values, 1 for the next, and so on."""
    return np.cumsum(np.diff(sorted_values, prepend=sorted_values[0]) != 0)


def iso_times(time: NDArray[np.float64]) -> list[str]:
    """ISO 8601 in UTC, to the millisecond."""
    stamps = np.datetime_as_string(np.round(time * 1000).astype("datetime64[ms]"))
    return [f"{stamp}Z" for stamp in stamps]


def message_ids(count: int, generator: np.random.Generator) -> list[str]:
    """Random ids of 32 hexadecimal digits."""
    digits = generator.bytes(16 * count).hex()
    return [digits[start : start + 32] for start in range(0, len(digits), 32)]


def subject_of(population: Population, subject: int, session_id: str) -> dict[str, str]:
    key = "anonymous_id" if population.anonymous[subject] else "user_id"
    return {key: population.ids[subject], "session_id": session_id}


def consent_of(population: Population, subject: int) -> dict[str, bool]:
    return {
        "personalisation": bool(population.personalisation[subject]),
        "training": bool(population.training[subject]),
    }


def write_events(
    shop: Shop, visits: Visits, table: EventTable, generator: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """The rows of the table as REST events."""
    catalogue, population = shop.catalogue, shop.population
    sessions = [f"s-{digits[:16]}" for digits in message_ids(len(visits.subject), generator)]
    subjects = visits.subject.tolist()
    who = [subject_of(population, subject, session) for subject, session in zip(subjects, sessions, strict=True)]
    consents = [consent_of(population, subject) for subject in range(len(population.ids))]
    devices = [DEVICES[device] for device in population.device.tolist()]
    columns = (
        message_ids(len(table), generator),
        iso_times(table.time),
        table.visit.tolist(),
        table.type.tolist(),
        table.item.tolist(),
        table.value.tolist(),
        table.quantity.tolist(),
        table.note.tolist(),
    )
    for message_id, created_at, visit, type_name, item, value, quantity, note in zip(*columns, strict=True):
        subject = subjects[visit]
        properties = {"device": devices[subject]} | _words(catalogue, type_name, item, note)
        priced = type_name in ("add_to_cart", "purchase", "pay")
        yield {
            "message_id": message_id,
            "type": type_name,
            "subject": dict(who[visit]),
            "item_id": None if item == NOWHERE or type_name == "search" else catalogue.ids[item],
            "value": None if value != value else value,
            "quantity": None if quantity != quantity else int(quantity),
            "currency": catalogue.theme.currency if priced else None,
            "created_at": created_at,
            "consent": dict(consents[subject]),
            "properties": properties,
        }


def _words(catalogue: Catalogue, type_name: str, item: int, note: int) -> dict[str, str]:
    if type_name == "search":
        return {"query": catalogue.rows[item]["title"].replace(",", "").lower()}
    if type_name == "ask":
        return {"text": QUESTIONS[note]}
    if type_name == "review":
        return {"text": REVIEWS[note]}
    return {}
