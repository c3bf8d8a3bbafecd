"""Reasons in words that a subject can read."""

from collections.abc import Mapping
from typing import Any

from apps.recommendation.candidates import Cause

SAID = {
    "popular": "popular with others",
    "trending": "wanted more than it used to be",
    "newest": "new in the catalogue",
    "recently_viewed": "you viewed this lately",
    "buy_again": "you may need this again by now",
    "promoted": "picked by the shop",
    "explored": "shown to learn whether it suits you",
}
# How a list that starts from an item speaks of it.
GOES_WITH = {
    "similar_to": "goes with {}",
    "also_bought": "bought by others who bought {}",
    "bought_together": "often bought together with {}",
}
# What the subject did with an item, as it follows "because you".
DID = {
    "view": "viewed {}",
    "click": "looked at {}",
    "cart": "put {} into your cart",
    "add_to_cart": "put {} into your cart",
    "wishlist": "saved {}",
    "favorite": "saved {}",
    "purchase": "bought {}",
    "buy": "bought {}",
    "order": "ordered {}",
    "review": "reviewed {}",
    "rating": "rated {}",
}
EXPLORED = Cause("explored", 0.0)


def explain(cause: Cause, titles: Mapping[str, str], recommended: str) -> dict[str, Any]:
    """The cause as the API's reason; an item without a title is called by its id, the recommended one "this"."""
    titles = {**titles, recommended: "this"}
    reason: dict[str, Any] = {"code": cause.code, "text": _text(cause, titles), "weight": round(cause.weight, 6)}
    known = {"item_id": cause.item_id, "event_type": cause.event_type, "event_id": cause.event_id}
    return reason | {name: value for name, value in known.items() if value is not None}


def _text(cause: Cause, titles: Mapping[str, str]) -> str:
    if cause.item_id is None:
        return SAID[cause.code]
    title = titles.get(cause.item_id) or cause.item_id
    if cause.code in GOES_WITH:
        return GOES_WITH[cause.code].format(title)
    did = DID.get(cause.event_type or "", f"had a {cause.event_type} of {{}}")
    return f"because you {did.format(title)}"
