"""Reads of the catalogue."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Left

from catalog.models import Item
from tenancy.scope import current_tenant_id

# Availability and hiding rule in every application alike.
VISIBLE = Q(available=True, hidden=False)
# Words of a search beyond these change nothing worth their cost.
MAX_WORDS = 8
# Items read at a time where all are read, and how much of a description says what an item is.
PAGE = 2_000
DESCRIPTION_READ = 1_000


def find_items(item_ids: Iterable[str]) -> dict[str, Item]:
    """The items that the catalogue knows, by id; one query."""
    return {item.item_id: item for item in Item.objects.filter(item_id__one_of=item_ids)}


def all_item_ids() -> list[str]:
    return list(Item.objects.values_list("item_id", flat=True))


@dataclass(frozen=True)
class ItemDescription:
    """What an item is, in words: `attributes` by name, a value each or several, and title and description as a text."""

    item_id: str
    attributes: dict[str, list[str]]
    text: str
    visible: bool
    created_at: datetime


def describe_items(*, changed_since: datetime | None = None) -> Iterator[ItemDescription]:
    """All items, or those that were changed at or after a time, in the order of their ids; a query for every 2,000."""
    items = Item.objects.annotate(start=Left("description", DESCRIPTION_READ)).order_by("item_id")
    if changed_since is not None:
        items = items.filter(updated_at__gte=changed_since)
    columns = ("item_id", "title", "start", "categories", "brand", "attributes", "available", "hidden", "created_at")
    last = ""
    while page := list(items.filter(item_id__gt=last).values_list(*columns)[:PAGE]):
        for item_id, title, start, categories, brand, attributes, available, hidden, created_at in page:
            yield ItemDescription(
                item_id=item_id,
                attributes=_in_words(brand, categories, attributes),
                text="\n".join(part for part in (title.strip(), start.strip()) if part),
                visible=available and not hidden,
                created_at=created_at,
            )
        last = page[-1][0]


def _in_words(brand: str, categories: Sequence[str], attributes: dict[str, Any]) -> dict[str, list[str]]:
    """Brand, categories and the item's own attributes. Numbers are left out: as names, no two of them are alike."""
    words = {"brand": [brand] if brand else [], "category": list(categories)}
    for name, value in attributes.items():
        values = value if isinstance(value, list) else [value]
        words[f"attributes.{name}"] = [str(each) for each in values if isinstance(each, str | bool) and each != ""]
    return {name: values for name, values in words.items() if values}


@dataclass(frozen=True)
class ItemFacts:
    """What ordering a list needs to know of an item; `marks` names the conditions that it meets."""

    categories: Sequence[str] = ()
    brand: str = ""
    price: float | None = None
    created_at: datetime | None = None
    marks: frozenset[str] = frozenset()


UNKNOWN = ItemFacts()


def look_up_items(
    item_ids: Sequence[str],
    *,
    condition: Q | None = None,
    require_known: bool | None = None,
    marks: Mapping[str, Q] | None = None,
) -> dict[str, ItemFacts]:
    """Those of `item_ids`, in their order, that may be shown: not hidden, available, and meeting the condition.

    `marks` are conditions by name that are looked at in the same query. Items that are in the log but not in the
    catalogue meet no condition. Without one, `require_known` decides: True drops them, False keeps them, and None keeps
    them only while the catalogue is empty, which is the state of a tenant that sends events alone. One query, or two
    where no id is known.
    """
    marks = marks or {}
    rows = _judged(item_ids, condition, list(marks.values())) if condition or marks else _seen(item_ids)
    known: dict[str, ItemFacts | None] = {}
    for item_id, may_be_shown, categories, brand, price, created_at, *met in rows:
        known[item_id] = None
        if may_be_shown:
            met_marks = frozenset(name for name, is_met in zip(marks, met, strict=True) if is_met)
            amount = None if price is None else float(price)
            known[item_id] = ItemFacts(categories, brand, amount, created_at, met_marks)
    keeps_unknown = condition is None and not require_known
    if keeps_unknown and require_known is None and len(known) < len(set(item_ids)):
        keeps_unknown = not known and not Item.objects.exists()
    found = {item_id: known.get(item_id, UNKNOWN if keeps_unknown else None) for item_id in item_ids}
    return {item_id: facts for item_id, facts in found.items() if facts is not None}


def _judged(item_ids: Sequence[str], condition: Q | None, marks: Sequence[Q]) -> Iterable[tuple]:
    conditions = {f"mark_{number}": each for number, each in enumerate(marks)}
    return (
        Item.objects.filter(item_id__one_of=item_ids)
        .annotate(may_be_shown=VISIBLE & condition if condition else VISIBLE, **conditions)
        .values_list("item_id", "may_be_shown", "categories", "brand", "price", "created_at", *conditions)
    )


def _seen(item_ids: Sequence[str]) -> list[tuple]:
    """As `_judged` without conditions; nearly every list asks this, and building it from the model takes longer than
    answering it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT item_id, available AND NOT hidden, categories, brand, price, created_at FROM catalog_item "
            "WHERE tenant_id = %s AND item_id = ANY(%s)",
            [current_tenant_id(), list(item_ids)],
        )
        return cursor.fetchall()


def newest_items(limit: int, *, condition: Q | None = None) -> list[str]:
    """Ids of the visible items that came into the catalogue last, newest first."""
    items = Item.objects.filter(VISIBLE, condition or Q()).order_by("-created_at", "item_id")
    return list(items.values_list("item_id", flat=True)[:limit])


def search_items(text: str) -> QuerySet[Item]:
    """Items whose title, brand or id holds every word of the text.

    This reads all items of the tenant: under row-level security PostgreSQL answers no text pattern from an index
    (its operators are not leak-proof), so a trigram index would only cost.
    """
    items = Item.objects.all()
    for word in text.split()[:MAX_WORDS]:
        items = items.filter(Q(title__icontains=word) | Q(brand__icontains=word) | Q(item_id__icontains=word))
    return items


def list_items(
    *, category: str | None = None, available: bool | None = None, search: str = "", condition: Q | None = None
) -> QuerySet[Item]:
    """Items for a list, hidden ones too, narrowed by what is given."""
    items = search_items(search)
    if category is not None:
        items = items.filter(categories__contains=[category])
    if available is not None:
        items = items.filter(available=available)
    return items.filter(condition) if condition else items
