"""Reads for rankings: what the catalogue and the log say of a list's items, each in one query for all of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Q

from apps.recommendation.lists.settings import ScenarioSettings
from catalog.models import Item
from catalog.saved_filters import read_filter
from catalog.selectors import VISIBLE
from tenancy.scope import current_tenant_id

# Counted back from the newest hour of the log, as popular lists are.
COUNTS = """
    WITH worth AS (SELECT * FROM unnest(%(types)s::text[], %(weights)s::float8[]) AS given(type, weight))
    SELECT item_id, sum(count * coalesce(weight, 1))::float8,
        coalesce(sum(count) FILTER (WHERE type = 'impression'), 0),
        coalesce(sum(count) FILTER (WHERE coalesce(weight, 1) > 0), 0)
    FROM behavior_itempopularity LEFT JOIN worth USING (type)
    WHERE tenant_id = %(tenant)s AND item_id = ANY(%(items)s)
        AND hour > (SELECT max(hour) FROM behavior_itempopularity WHERE tenant_id = %(tenant)s) - %(span)s::interval
    GROUP BY item_id"""


@dataclass(frozen=True)
class ItemFacts:
    """What the catalogue says of an item; `visible`: neither hidden nor out of stock; `fits`: the scenario's filter."""

    title: str
    brand: str
    categories: Sequence[str]
    price: float | None
    visible: bool
    fits: bool


@dataclass(frozen=True)
class ItemCounts:
    """What the log counted of an item: weighted interest, how often it was shown, and how often something was done."""

    interest: float
    shown: int
    reactions: int


def item_facts(item_ids: Collection[str], filter: dict[str, Any] | None = None) -> dict[str, ItemFacts]:
    """By id, of the items that the catalogue has; all fit where there is no filter."""
    rows = (
        Item.objects.filter(item_id__one_of=item_ids)
        .annotate(visible=VISIBLE, fits=read_filter(filter) if filter else Q(item_id__isnull=False))
        .values_list("item_id", "title", "brand", "categories", "price", "visible", "fits")
    )
    return {
        item_id: ItemFacts(title, brand, categories, None if price is None else float(price), visible, bool(fits))
        for item_id, title, brand, categories, price, visible, fits in rows
    }


def item_counts(item_ids: Collection[str], settings: ScenarioSettings) -> dict[str, ItemCounts]:
    """By id, of the items that have any event in the scenario's `popular_days`."""
    weights = settings.event_weights
    asked: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "items": list(item_ids),
        "types": list(weights),
        "weights": [float(weight) for weight in weights.values()],
        "span": timedelta(days=settings.popular_days),
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, asked)
        return {
            item_id: ItemCounts(interest, int(shown), int(reactions))
            for item_id, interest, shown, reactions in cursor.fetchall()
        }
