"""How subjects answer a recommended list, and the true probabilities behind it.

The position-based model: an item at rank r (from 1) is looked at with probability 1 / sqrt(r), and a looked-at item is
clicked with a probability that depends on the subject and the item alone (Richardson, Dominowska and Ragno, 2007).
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ml.simulation.rows import consent_of, iso_times, message_ids, subject_of
from ml.simulation.shop import Shop
from ml.simulation.subjects import DEVICES

# Log odds of a click on an item that suits nobody's taste or intent; what fitting the intent adds; and of buying.
CLICK_BASE = -4.0
INTENT_WEIGHT = 1.8
PURCHASE_BASE = -2.8


def response_probabilities(
    shop: Shop,
    *,
    subject: int,
    items: NDArray[np.int64],
    time: float,
    outcome: Literal["click", "purchase"],
) -> NDArray[np.float64]:
    """Probability that each item of the list, shown in this order, is clicked, or clicked and bought; (items,)."""
    if outcome not in ("click", "purchase"):
        raise ValueError(f"outcome {outcome!r} is neither 'click' nor 'purchase'")
    catalogue, row = shop.catalogue, np.array([subject])
    suits = shop.config.response_sharpness * shop.affinity(row, items[None, :])[0]
    routine = catalogue.routines[shop.population.intent_at(row, np.array([time]))[0]]
    in_intent = np.isin(items // catalogue.items_per_category, routine)
    examined = 1.0 / np.sqrt(np.arange(1, len(items) + 1))
    clicked = _sigmoid(CLICK_BASE + suits + INTENT_WEIGHT * in_intent)
    clicked = np.where(catalogue.hidden[items], 0.0, examined * clicked)
    if outcome == "click":
        return clicked
    bought = _sigmoid(PURCHASE_BASE + suits)
    return np.where(catalogue.available[items], clicked * bought, 0.0)


def draw_response(
    shop: Shop,
    *,
    subject: int,
    items: NDArray[np.int64],
    clicks: NDArray[np.float64],
    purchases: NDArray[np.float64],
    time: float,
    decision_id: str | None,
    session_id: str | None,
    generator: np.random.Generator,
) -> list[dict[str, Any]]:
    """An impression per item, then for some a click, and for some of these a cart and a purchase, in order of time."""
    catalogue, population = shop.catalogue, shop.population
    # One draw decides both, since a purchase's probability is at most its click's.
    luck = generator.random(len(items))
    session_id = session_id or f"s-{message_ids(1, generator)[0][:16]}"
    happened: list[tuple[float, str, int]] = [(time, "impression", rank) for rank in range(len(items))]
    for rank in np.flatnonzero(luck < clicks).tolist():
        happened.append((time + 5.0 + 12.0 * rank, "click", rank))
        if luck[rank] < purchases[rank]:
            happened.append((time + 11.0 + 12.0 * rank, "add_to_cart", rank))
            happened.append((time + 60.0 + 12.0 * len(items), "purchase", rank))
    happened.sort(key=lambda event: event[0])
    times = iso_times(np.array([event[0] for event in happened]))
    ids = message_ids(len(happened), generator)
    events = []
    for (_, type_name, rank), created_at, message_id in zip(happened, times, ids, strict=True):
        priced = type_name in ("add_to_cart", "purchase")
        event = {
            "message_id": message_id,
            "type": type_name,
            "subject": subject_of(population, subject, session_id),
            "item_id": catalogue.ids[items[rank]],
            "value": round(float(catalogue.price[items[rank]]), 2) if priced else None,
            "quantity": 1 if priced else None,
            "currency": catalogue.theme.currency if priced else None,
            "created_at": created_at,
            "consent": consent_of(population, subject),
            "properties": {"device": DEVICES[population.device[subject]], "rank": rank + 1},
        }
        events.append(event if decision_id is None else event | {"decision_id": decision_id})
    return events


def _sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-log_odds))
