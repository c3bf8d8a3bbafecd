"""Reasons in words that a subject can read."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.recommendation.lists.candidates import Cause

# What needs no item to be said.
SAID = {
    "popular": "popular with others",
    "trending": "wanted more than it used to be",
    "newest": "new in the catalogue",
    "recently_viewed": "you viewed this lately",
    "buy_again": "you may need this again by now",
    "promoted": "picked by the shop",
    "explored": "shown to learn whether it suits you",
}
# What is said of the items behind it.
OF_ITEMS = {
    "similar_to": "goes with {}",
    "bought_together": "often bought together with {}",
    "also_bought": "bought by others who bought {}",
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
    """The cause as the API's reason; an item without a title is called by its id, the recommended one "this".

    Where several events or items matter, the text names all of them, the weight is theirs together, and `events` has
    each with its own.
    """
    titles = {**titles, recommended: "this"}
    causes = (cause, *cause.also)
    weight = min(1.0, sum(each.weight for each in causes))
    reason: dict[str, Any] = {"code": cause.code, "text": _text(causes, titles), "weight": round(weight, 6)}
    reason |= _behind(cause)
    if cause.also:
        reason["events"] = [_behind(each) | {"weight": round(each.weight, 6)} for each in causes]
    return reason


def _behind(cause: Cause) -> dict[str, Any]:
    known = {"item_id": cause.item_id, "event_type": cause.event_type, "event_id": cause.event_id}
    return {name: value for name, value in known.items() if value is not None}


def _text(causes: Sequence[Cause], titles: Mapping[str, str]) -> str:
    code = causes[0].code
    if code in SAID or causes[0].item_id is None:
        return SAID.get(code, code.replace("_", " "))
    named = [
        (_did(cause.event_type or ""), titles.get(cause.item_id) or cause.item_id)
        for cause in causes
        if cause.item_id is not None
    ]
    if code in OF_ITEMS:
        return _put(OF_ITEMS[code], _listed(list(dict.fromkeys(title for _, title in named))))
    acts = list(dict.fromkeys(named))
    # "viewed the tent and bought it"
    done = [
        _put(did, "it" if number and title == acts[number - 1][1] else title)
        for number, (did, title) in enumerate(acts)
    ]
    return f"because you {_listed(done)}"


def _did(event_type: str) -> str:
    if event_type in DID:
        return DID[event_type]
    return f"interacted with {{}} ({event_type.replace('_', ' ')})" if event_type else "interacted with {}"


def _put(phrase: str, title: str) -> str:
    """Not str.format, since event types are the client's and may hold braces."""
    before, _, after = phrase.partition("{}")
    return f"{before}{title}{after}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
