"""All entities of messages."""

from collections.abc import Sequence
from datetime import date

from apps.service.understanding.entities.amounts import find_amounts
from apps.service.understanding.entities.contacts import find_contacts
from apps.service.understanding.entities.dates import find_dates
from apps.service.understanding.entities.kinds import Entity, without_overlaps
from apps.service.understanding.entities.orders import find_orders
from catalog.mentions import find_mentions

MOST_ENTITIES = 100


def find_entities(texts: Sequence[str], *, today: date, order_patterns: Sequence[str] = ()) -> list[list[Entity]]:
    """Of each text, in order of place; two queries for the products of all texts.

    Where two overlap the more telling one stays: an address, a date or an amount before an order id, that before a
    telephone number, and a product last.
    """
    products = find_mentions(texts)
    found = []
    for text, mentions in zip(texts, products, strict=True):
        contacts = list(find_contacts(text))
        entities = [
            *(entity for entity in contacts if entity.kind != "phone"),
            *find_dates(text, today),
            *find_amounts(text),
            *find_orders(text, order_patterns),
            *(entity for entity in contacts if entity.kind == "phone"),
            *(
                Entity("product", text[each.start : each.end], each.start, each.end, _product(each.item_id, each.title))
                for each in mentions
            ),
        ]
        found.append(without_overlaps(entities)[:MOST_ENTITIES])
    return found


def _product(item_id: str, title: str) -> dict[str, str]:
    return {"id": item_id, "title": title}
