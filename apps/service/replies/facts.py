"""What the business knows of the customer: orders, as events of the behaviour log tell them."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from apps.service.replies.grounding.claims import Claim, claims_of
from apps.service.replies.grounding.numerals import plain
from behavior.selectors import EVENTS_OF_PERSON
from catalog.models import Item
from catalog.selectors import find_items
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

MOST_EVENTS = 100
LONGEST_VALUE = 200
ORDER_IDS = ("order_id", "order_number", "order", "order_no")
# A number of up to three digits that is called an order's.
_SMALL = re.compile(
    r"(?:\border(?:\s+(?:id|no|nr|number|code))?|订单(?:编?号|号码)?|单号|#)\s*(?:is|[.:：是为])?\s*#?(\d{1,3})(?![a-z0-9_-])"
)
# Properties of an event that say who the customer is, by the slot's name.
CUSTOMER = {
    "customer_name": "name",
    "first_name": "first_name",
    "last_name": "last_name",
    "email": "email",
    "customer_email": "email",
}
# How an order stands after an event of this type that says nothing of it itself.
STATUS = {
    "order_shipped": "shipped",
    "shipment": "shipped",
    "order_delivered": "delivered",
    "delivery": "delivered",
    "order_cancelled": "cancelled",
    "refund": "refunded",
}
# Of these an event's value is an amount of money.
PRICED = ("order", "purchase", "order_placed", "order_paid", "refund")
EVENTS = f"""
    SELECT type, item_id, value, currency, occurred_at, properties::text FROM {EVENTS_OF_PERSON}
    WHERE type = ANY(%(types)s) ORDER BY occurred_at DESC, event_id DESC LIMIT {MOST_EVENTS}"""
EVENTS_OF_MANY = f"""
    SELECT subject.key, last.* FROM unnest(%(keys)s::bytea[]) AS subject(key)
        CROSS JOIN LATERAL ({EVENTS.replace("%(keys)s::bytea[]", "ARRAY[subject.key]")}) AS last"""
Row = tuple[str, str | None, float | None, str | None, datetime, str | None]


@dataclass(frozen=True)
class Order:
    """`values` by name: id, status, date, total, currency, items, and whatever its events' properties say; `item` is
    the title and price of what was ordered last."""

    order_id: str
    values: Mapping[str, str]
    item: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """Orders of the customer, the one that something happened to last first."""

    orders: Sequence[Order] = ()
    customer: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Chosen:
    """The order that a message is about. `how`: named in the message, one of several that it names, the only one, the
    newest of all, unknown where the message names an order that is not the customer's, none where there are no orders.
    """

    order: Order | None
    how: str

    @property
    def values(self) -> Mapping[str, str]:
        return self.order.values if self.order else {}


def read_facts(keys: Sequence[bytes], event_types: Sequence[str]) -> Facts:
    """The customer's orders from the newest MOST_EVENTS of these types; one query, and one for the items' titles."""
    if not keys or not event_types:
        return Facts()
    values: dict[str, Any] = {"tenant": current_tenant_id(), "keys": list(keys), "types": list(event_types)}
    with prepared_cursor() as cursor:
        cursor.execute(EVENTS, values)
        rows = cursor.fetchall()
    if not rows:
        return Facts()
    items = {row[1] for row in rows if row[1]}
    return _facts(rows, find_items(items) if items else {})


def read_facts_of_many(keys: Sequence[bytes], event_types: Sequence[str]) -> dict[bytes, Facts]:
    """The same for many customers, each named by one key; those without such events are left out."""
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "keys": list(dict.fromkeys(keys)),
        "types": list(event_types),
    }
    rows: dict[bytes, list[Row]] = {}
    with connection.cursor() as cursor:
        cursor.execute(EVENTS_OF_MANY, values)
        for key, *row in cursor.fetchall():
            rows.setdefault(bytes(key), []).append(tuple(row))
    items = find_items({row[1] for each in rows.values() for row in each if row[1]})
    # A subquery's order is nobody's promise; the newest comes first.
    return {key: _facts(sorted(each, key=lambda row: row[4], reverse=True), items) for key, each in rows.items()}


def _facts(rows: Sequence[Row], items: Mapping[str, Item]) -> Facts:
    orders: dict[str, dict[str, str]] = {}
    ordered: dict[str, list[Item]] = {}
    customer: dict[str, str] = {}
    for type_, item_id, value, currency, occurred_at, raw in rows:
        properties = json.loads(raw) if raw else {}
        if not isinstance(properties, dict):
            continue
        for name, slot in CUSTOMER.items():
            if isinstance(properties.get(name), str):
                customer.setdefault(slot, properties[name][:LONGEST_VALUE])
        order_id = next((str(properties[key]) for key in ORDER_IDS if _is_plain(properties.get(key))), None)
        if order_id is None:
            continue
        known = orders.setdefault(order_id, {"id": order_id})
        told = _values(type_, value, currency, occurred_at, properties)
        # The newest event comes first, so what is known already is newer; the date is that of the first.
        orders[order_id] = {**told, **known, "date": told["date"]}
        if item_id is not None and item_id in items and items[item_id] not in ordered.setdefault(order_id, []):
            ordered[order_id].append(items[item_id])
    return Facts([_order(order_id, values, ordered.get(order_id, ())) for order_id, values in orders.items()], customer)


def _order(order_id: str, values: dict[str, str], items: Sequence[Item]) -> Order:
    titles = [item.title for item in items if item.title]
    if titles:
        values = {**values, "items": ", ".join(titles)}
    if not items:
        return Order(order_id, values)
    price = "" if items[0].price is None else f"{items[0].price} {items[0].currency}".strip()
    return Order(order_id, values, {"title": items[0].title, "price": price})


def _values(
    type_: str, value: float | None, currency: str | None, occurred_at: datetime, properties: Mapping[str, Any]
) -> dict[str, str]:
    told = {"date": f"{occurred_at:%Y-%m-%d}"}
    if status := STATUS.get(type_):
        told["status"] = status
    if value is not None and type_ in PRICED:
        told["refund_amount" if type_ == "refund" else "total"] = f"{value:.2f}"
    if currency:
        told["currency"] = currency
    for name, each in properties.items():
        if name.isidentifier() and name not in ORDER_IDS and name != "date" and _is_plain(each):
            told[name.lower()] = str(each)
    return told


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= LONGEST_VALUE
    return isinstance(value, int | float) and not isinstance(value, bool)


def choose_order(facts: Facts, texts: Sequence[str], ids_in: Callable[[str], Sequence[str]]) -> Chosen:
    """The order that the customer writes of in `texts`, the newest text first; `ids_in` gives the ids of orders that a
    text names. An order of somebody else is never looked up: only what the customer's own events name can be found."""
    if not facts.orders:
        return Chosen(None, "none")
    own = {order.order_id.lower().lstrip("#"): order for order in facts.orders}
    for text in texts:
        rest = plain(text).lower()
        claims = claims_of(text)
        named = _named(own, claims, rest)
        if named:
            rest = re.sub("|".join(_whole(order_id) for order_id in named), " ", rest)
            claims = claims_of(rest)
        alike = [claim.value for claim in claims if claim.kind == "id" and _looks_like(claim.value, own)]
        is_other_named = any(not _is_known(order_id, facts) for order_id in [*alike, *ids_in(rest)])
        if named:
            is_certain = len(named) == 1 and not is_other_named
            return Chosen(own[named[0]], "named" if is_certain else "several")
        if is_other_named:
            return Chosen(None, "unknown")
    return Chosen(facts.orders[0], "only" if len(facts.orders) == 1 else "newest")


def _named(own: Mapping[str, Order], claims: Collection[Claim], text: str) -> list[str]:
    """Which of the customer's own ids a text names, the order first that something happened to last."""
    # A number with a unit, such as 14 days, counts something.
    numbers = {claim.value for claim in claims if claim.kind in ("id", "number") and not claim.unit}
    # So may a small one, such as 3 shirts.
    called = set(_SMALL.findall(text))
    return [
        order_id
        for order_id in own
        if (order_id in numbers and (order_id in called or not _is_small(order_id)))
        or (len(order_id) >= 4 and order_id in text and re.search(_whole(order_id), text))
    ]


def _is_small(order_id: str) -> bool:
    return order_id.isdecimal() and len(order_id) < 4


def _whole(order_id: str) -> str:
    """The pattern of an id as a whole word: 1029 is no part of 10299 or of B-1029."""
    return rf"(?<![a-z0-9_-]){re.escape(order_id)}(?![a-z0-9_-])"


def _is_known(order_id: str, facts: Facts) -> bool:
    """Whether what is written as an order's id is a date, or the customer's own: a parcel's number, for one."""
    if any(claim.kind == "date" for claim in claims_of(order_id)):
        return True
    return any(order_id == value.lower() for order in facts.orders for value in order.values.values())


def _looks_like(value: str, order_ids: Mapping[str, Order]) -> bool:
    """Whether an id is written as the customer's orders are: the same letters, digits and signs in their places."""
    return _shape(value) in {_shape(order_id) for order_id in order_ids}


def _shape(value: str) -> str:
    kinds = ["9" if each.isdigit() else "a" if each.isalpha() else each for each in value]
    return "".join(kind for at, kind in enumerate(kinds) if at == 0 or kind != kinds[at - 1])


def slot_values(facts: Facts, chosen: Chosen) -> dict[str, str]:
    """What the slots of macros may be filled with: order.*, item.* and customer.*."""
    item = chosen.order.item if chosen.order else {}
    parts = {"order": chosen.values, "item": item, "customer": facts.customer}
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}


def order_claims(chosen: Chosen) -> frozenset[Claim]:
    """Everything that the order's data states; an amount is in the order's currency."""
    values = chosen.values
    currency = values.get("currency", "")
    amounts = [f"{values[name]} {currency}" for name in ("total", "refund_amount") if name in values]
    item = chosen.order.item.values() if chosen.order else ()
    return claims_of("\n".join([*values.values(), *amounts, *item]))
