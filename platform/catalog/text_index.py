"""Keeping the text index at what the catalogue says: a few items along with their write, many by a periodic task."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Left

from behavior.positions import move, take
from catalog.models import Item, ItemText
from catalog.text_analysis import Analysed, analyse, pairs_as_vector
from tenancy.scope import current_tenant_id

READER = "item texts"
# Rows carry the time at which their transaction began, and appear when it ends.
LONGEST_TRANSACTION = timedelta(minutes=5)
PAGE = 500
# How much of a description says what an item is.
DESCRIPTION_READ = 1_000
# Another analysis of the same texts needs another number, so that all items are read anew.
ANALYSIS = 1
COLUMNS = ("id", "updated_at", "item_id", "title", "brand", "categories", "attributes", "start", "known_hash")

WRITE_TEXTS = """
    INSERT INTO catalog_itemtext AS known (id, tenant_id, document, content_hash, encoder, item_updated_at)
    SELECT id, %s,
        setweight(to_tsvector('english', title) || title_pairs::tsvector, 'A')
        || setweight(to_tsvector('english', names) || names_pairs::tsvector, 'B')
        || setweight(to_tsvector('english', attributes) || attributes_pairs::tsvector, 'C')
        || setweight(to_tsvector('english', description) || description_pairs::tsvector, 'D'),
        decode(content_hash, 'hex'), '', item_updated_at
    FROM jsonb_to_recordset(%s::jsonb) AS row (
        id uuid, title text, names text, attributes text, description text, title_pairs text,
        names_pairs text, attributes_pairs text, description_pairs text, content_hash text,
        item_updated_at timestamptz)
    ORDER BY id
    ON CONFLICT (tenant_id, id) DO UPDATE
    SET document = excluded.document, content_hash = excluded.content_hash, encoder = '',
        item_updated_at = excluded.item_updated_at
"""
# Items whose text stayed as it was though something else of them changed, such as the price.
TOUCH_TEXTS = """
    UPDATE catalog_itemtext SET item_updated_at = row.updated_at
    FROM unnest(%s::uuid[], %s::timestamptz[]) AS row(id, updated_at)
    WHERE tenant_id = %s AND catalog_itemtext.id = row.id
"""
# Words that are known already are left out before the insert, which would lock them even where it changes nothing, and
# items that share a word would be written one after the other.
WRITE_WORDS = """
    INSERT INTO catalog_itemword AS word (tenant_id, word, stem, is_name)
    SELECT %(tenant)s, row.word, row.stem, row.is_name
    FROM (
        SELECT given.word, is_name, array_to_string(tsvector_to_array(to_tsvector('english', given.word)), '') AS stem
        FROM unnest(%(words)s::text[], %(are_names)s::boolean[]) AS given(word, is_name)
    ) AS row
    WHERE stem <> '' AND NOT EXISTS (
        SELECT FROM catalog_itemword AS known
        WHERE known.tenant_id = %(tenant)s AND known.word = row.word AND known.is_name >= row.is_name)
    ORDER BY row.word
    ON CONFLICT (tenant_id, word) DO UPDATE SET is_name = true WHERE excluded.is_name AND NOT word.is_name
"""


@dataclass(frozen=True)
class ItemWords:
    """An item's words by the weight that they have in a search, and its runs of characters without spaces."""

    id: str
    title: str
    names: str
    attributes: str
    description: str
    title_pairs: str
    names_pairs: str
    attributes_pairs: str
    description_pairs: str

    @property
    def content_hash(self) -> str:
        return hashlib.sha256(json.dumps([ANALYSIS, *vars(self).values()]).encode()).hexdigest()


def index_items(item_ids: Sequence[str]) -> None:
    """Bring the named items' texts up to date, in the transaction of their write."""
    _write(list(_items().filter(item_id__one_of=item_ids).values_list(*COLUMNS)))


def index_changed_items() -> bool:
    """Bring the texts of the items that changed longest ago up to date; whether more may be left.

    Each call is a short transaction. The position only spares the look at what is long done; an item that was written
    while its text was read has another time than the text, and comes again.
    """
    place = take(READER)
    if place is None:
        return False
    settled = _database_time() - LONGEST_TRANSACTION
    read = ItemText.objects.filter(id=OuterRef("id"), item_updated_at=OuterRef("updated_at"))
    waiting = _items().filter(~Exists(read), updated_at__gte=place.position).order_by("updated_at", "item_id")
    page = list(waiting.values_list(*COLUMNS)[:PAGE])
    _write(page)
    move(place, min(settled, page[-1][1]) if len(page) == PAGE else settled)
    return len(page) == PAGE


def _items() -> QuerySet[Item]:
    """Items with the start of their description, and the hash of the text that the index has of them."""
    known = ItemText.objects.filter(id=OuterRef("id")).values("content_hash")
    return Item.objects.annotate(start=Left("description", DESCRIPTION_READ), known_hash=Subquery(known))


def _database_time() -> datetime:
    """The clock by which rows say when they changed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def _write(page: Sequence[tuple[Any, ...]]) -> None:
    """Only what differs from what is there."""
    rows: list[dict[str, Any]] = []
    words: dict[str, bool] = {}
    same: dict[UUID, datetime] = {}
    for id, updated_at, *columns, known_hash in page:
        item, of_item = _read(id, *columns)
        content_hash = item.content_hash
        if known_hash is not None and bytes(known_hash).hex() == content_hash:
            same[id] = updated_at
            continue
        rows.append(vars(item) | {"content_hash": content_hash, "item_updated_at": updated_at.isoformat()})
        for word, is_name in of_item.items():
            words[word] = words.get(word, False) or is_name
    tenant_id = current_tenant_id()
    with connection.cursor() as cursor:
        if rows:
            cursor.execute(WRITE_TEXTS, [tenant_id, json.dumps(rows)])
            cursor.execute(WRITE_WORDS, {"tenant": tenant_id, "words": list(words), "are_names": list(words.values())})
        if same:
            cursor.execute(TOUCH_TEXTS, [list(same), list(same.values()), tenant_id])


def _read(
    id: UUID, item_id: str, title: str, brand: str, categories: Sequence[str], attributes: dict[str, Any], start: str
) -> tuple[ItemWords, dict[str, bool]]:
    """The item's words, and each with whether it is part of a name."""
    parts = {
        "title": analyse(f"{title} {item_id}"),
        "names": analyse(" ".join([brand, *categories])),
        "attributes": analyse(" ".join(_values(attributes))),
        "description": analyse(start),
    }
    words = ItemWords(
        id=str(id),
        **{name: " ".join(part.words) for name, part in parts.items()},
        **{f"{name}_pairs": pairs_as_vector(part.runs) for name, part in parts.items()},
    )
    named = {name: part for name, part in parts.items() if name in ("title", "names")}
    vocabulary = dict.fromkeys(_letters(parts.values()), False) | dict.fromkeys(_letters(named.values()), True)
    return words, vocabulary


def _letters(parts: Any) -> Iterator[str]:
    """Words that can be mistyped: codes and numbers differ by what one letter more would be."""
    for part in parts:
        analysed: Analysed = part
        yield from (word for word in analysed.words if word.isalpha())


def _values(attributes: dict[str, Any]) -> Iterator[str]:
    for value in attributes.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str | int | float) and not isinstance(each, bool):
                yield str(each)
