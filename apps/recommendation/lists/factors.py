"""What multiplies a source's score, by name: freshness, price, rotation and refusals, as the settings ask."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apps.recommendation.lists.candidates import Pooled
from apps.recommendation.lists.diversity import likeness
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.lists.visitors import Visitor
from apps.recommendation.selectors import median_price

Floats = NDArray[np.float64]

DAY = 86_400.0
# At the full setting the favoured end weighs so many times as much as the other.
STRENGTH = 10.0
# A price this many times the usual one, or that part of it, is at the end of the scale.
FAR_PRICE = 4.0
# So many of the newest refusals say what the subject does not like.
REFUSALS_COUNTED = 50


def reorders(settings: ScenarioSettings, visitor: Visitor) -> bool:
    """Whether the order of the list may differ from that of its source."""
    return bool(
        settings.temperature
        or settings.diversity
        or settings.category_window
        or settings.freshness
        or settings.price
        or visitor.shown(settings)
        or (settings.negative_damping and visitor.past(settings).refusals)
    )


def factors_of(pool: Sequence[Pooled], settings: ScenarioSettings, visitor: Visitor) -> list[dict[str, float]]:
    """For each candidate its factors by name; those that are switched off or touch no candidate are left out."""
    columns: dict[str, Floats] = {}
    if settings.freshness:
        columns["freshness"] = freshness(pool, settings, visitor)
    if settings.price:
        usual = median_price({event.item_id for event in visitor.events(settings)})
        columns["price"] = price(pool, settings, usual)
    if shown := visitor.shown(settings):
        times = np.array([shown[each.candidate.item_id] for each in pool], dtype=np.float64)
        columns["rotation"] = (1.0 - settings.rotation_rate) ** times
    if settings.negative_damping and visitor.past(settings).refusals:
        columns["negative_feedback"] = negative_feedback(pool, settings, visitor)
    touching = {name: column for name, column in columns.items() if (column != 1.0).any()}
    return [{name: float(column[row]) for name, column in touching.items()} for row in range(len(pool))]


def freshness(pool: Sequence[Pooled], settings: ScenarioSettings, visitor: Visitor) -> Floats:
    """STRENGTH ** (setting * (f - 1/2)), where f halves with every `freshness_days` in the catalogue; 1 for items that
    it does not know. (candidates,)"""
    times = [each.facts.created_at for each in pool]
    ages = np.array([np.nan if time is None else (visitor.now - time).total_seconds() / DAY for time in times])
    fresh = 0.5 ** (np.maximum(ages, 0.0) / settings.freshness_days)
    return np.asarray(STRENGTH ** (settings.freshness * np.nan_to_num(fresh - 0.5)))


def price(pool: Sequence[Pooled], settings: ScenarioSettings, usual: float | None) -> Floats:
    """STRENGTH ** (setting * x / 2), where x grows with the logarithm of the price over the usual one, from -1 at a
    quarter of it to 1 at four times it; 1 without a price. `usual` None means the candidates' median. (candidates,)"""
    prices = np.array([np.nan if each.facts.price is None else each.facts.price for each in pool], dtype=np.float64)
    known = prices[~np.isnan(prices)]
    if usual is None:
        usual = float(np.median(known)) if len(known) else 1.0
    smallest = 0.01
    distance = np.log(np.maximum(prices, smallest) / max(usual, smallest)) / np.log(FAR_PRICE)
    return np.asarray(STRENGTH ** (settings.price * np.nan_to_num(np.clip(distance, -1.0, 1.0)) / 2))


def negative_feedback(pool: Sequence[Pooled], settings: ScenarioSettings, visitor: Visitor) -> Floats:
    """For each refusal 1 - damping * likeness * f, where f halves with every `negative_days` since; multiplied.
    (candidates,)"""
    refusals = visitor.past(settings).refusals[:REFUSALS_COUNTED]
    days = np.array([(visitor.now - each.refused_at).total_seconds() / DAY for each in refusals])
    fade = 0.5 ** (np.maximum(days, 0.0) / settings.negative_days)
    alike = likeness([each.facts for each in pool], [each.facts for each in refusals])
    return np.asarray((1.0 - settings.negative_damping * alike * fade).prod(axis=1))
