"""What a ranker is told of each item of a list: numbers by name, higher for what speaks for the item where it can be.

All are relative to the list or bounded, so that lists of different queries compare. What is not known is 0, the neutral
value. They are kept with the decision, rounded as here, so that training reads what serving saw.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from apps.recommendation.rankings.facts import ItemCounts, ItemFacts
from apps.recommendation.rankings.words import words

Column = list[float | None]
Floats = NDArray[np.float64]

DECIMALS = 4
FURTHEST = 1e6
# So many showings of an average item are added to each, so that few of them prove little.
PRIOR_SHOWINGS = 20.0
# The client's own features, under names of their own.
CLIENT_PREFIX = "client."


@dataclass(frozen=True)
class RankingCandidate:
    """An item that the client proposes, with its own score, such as BM25, and features of its own."""

    item_id: str
    score: float | None = None
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What is known of the items of a list and of the subject; items by id.

    sequence holds what the next-item model thinks of them; history are the items of the subject's events.
    """

    facts: Mapping[str, ItemFacts]
    counts: Mapping[str, ItemCounts]
    sequence: Mapping[str, float]
    history: Sequence[str]


def client_order(candidates: Sequence[RankingCandidate]) -> list[RankingCandidate]:
    """By falling score; those without one follow, and equals stay in the order given."""
    return sorted(candidates, key=lambda each: np.inf if each.score is None else -each.score)


def ranking_features(query: str, candidates: Sequence[RankingCandidate], known: Known) -> dict[str, Column]:
    """One column for each feature, in the order of the candidates, which is the client's.

    client_score     the client's score, in standard deviations from the list's mean
    client_rank      minus the binary logarithm of the client's rank: 0, -1, -1.58, -2, ...
    sequence         logarithm of the next-item model's score, from the list's mean
    title_match, brand_match, category_match   share of the query's words that are there
    popularity       logarithm of 1 + weighted events of late
    click_rate       logarithm of the smoothed rate of reactions to showings, from the list's rate
    price            logarithm of the price, from the list's median
    brand_affinity, category_affinity          share of the subject's events with such items
    client.<name>    the client's own
    """
    facts = [known.facts.get(each.item_id) for each in candidates]
    counts = [known.counts.get(each.item_id, ItemCounts(0.0, 0, 0)) for each in candidates]
    wanted = set(words(query))
    brands, categories = _tastes(known)
    columns: dict[str, Sequence[float] | Floats] = {
        "client_score": _standard_scores([each.score for each in candidates]),
        "client_rank": -np.log2(np.arange(1, len(candidates) + 1)),
        "sequence": _from_mean_logarithm([known.sequence.get(each.item_id, 0.0) for each in candidates]),
        "title_match": [_share(wanted, each.title) if each else 0.0 for each in facts],
        "brand_match": [_share(wanted, each.brand) if each else 0.0 for each in facts],
        "category_match": [_share(wanted, " ".join(each.categories)) if each else 0.0 for each in facts],
        "popularity": np.log1p([each.interest for each in counts]),
        "click_rate": _click_rates(counts),
        "price": _relative_prices([each.price if each else None for each in facts]),
        "brand_affinity": [brands.get(each.brand, 0.0) if each else 0.0 for each in facts],
        "category_affinity": [
            max((categories.get(name, 0.0) for name in each.categories), default=0.0) if each else 0.0 for each in facts
        ],
    }
    result: dict[str, Column] = {name: _stored(column) for name, column in columns.items()}
    return result | _of_client(candidates)


def _stored(column: Sequence[float] | Floats) -> Column:
    values = np.nan_to_num(np.asarray(column, dtype=np.float64), posinf=FURTHEST, neginf=-FURTHEST)
    rounded: Column = (np.round(np.clip(values, -FURTHEST, FURTHEST), DECIMALS) + 0.0).tolist()
    return rounded


def _of_client(candidates: Sequence[RankingCandidate]) -> dict[str, Column]:
    names = sorted({name for each in candidates for name in each.features})
    return {f"{CLIENT_PREFIX}{name}": [each.features.get(name) for each in candidates] for name in names}


def _standard_scores(scores: Sequence[float | None]) -> Floats:
    values = np.array([np.nan if score is None else score for score in scores], dtype=np.float64)
    given = values[~np.isnan(values)]
    spread = given.std() if len(given) else 0.0
    if spread <= 1e-12 * max(1.0, float(np.abs(given).max(initial=0.0))):
        return np.zeros(len(values))
    return np.nan_to_num((values - given.mean()) / spread)


def _from_mean_logarithm(scores: Sequence[float]) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    heard_of = values > 0
    if not heard_of.any():
        return np.zeros(len(values))
    logarithm = np.log(np.maximum(values, 1e-9))
    return np.where(heard_of, logarithm - logarithm[heard_of].mean(), 0.0)


def _click_rates(counts: Sequence[ItemCounts]) -> Floats:
    shown = np.array([each.shown for each in counts], dtype=np.float64)
    # Reactions elsewhere than where items are shown would make rates above 1.
    reactions = np.minimum([each.reactions for each in counts], shown)
    if not reactions.any():
        return np.zeros(len(shown))
    usual = reactions.sum() / shown.sum()
    smoothed: Floats = np.log((reactions + PRIOR_SHOWINGS * usual) / (shown + PRIOR_SHOWINGS) / usual)
    return smoothed


def _relative_prices(prices: Sequence[float | None]) -> Floats:
    values = np.array([price if price and price > 0 else np.nan for price in prices], dtype=np.float64)
    if np.isnan(values).all():
        return np.zeros(len(values))
    return np.nan_to_num(np.log(values / np.nanmedian(values)))


def _share(wanted: set[str], text: str) -> float:
    """Share of the wanted words that the text holds."""
    return len(wanted & words(text).keys()) / len(wanted) if wanted and text else 0.0


def _tastes(known: Known) -> tuple[dict[str, float], dict[str, float]]:
    """Shares of the subject's events by brand and by category."""
    seen = [known.facts[item_id] for item_id in known.history if item_id in known.facts]
    brands = Counter(item.brand for item in seen if item.brand)
    categories = Counter(name for item in seen for name in set(item.categories))
    events = max(1, len(known.history))
    return (
        {name: count / events for name, count in brands.items()},
        {name: count / events for name, count in categories.items()},
    )
