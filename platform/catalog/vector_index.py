"""Vectors of the items' texts: which are missing, and storing them. The encoder itself lies above this room."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from catalog.models import ItemText, ItemVector
from catalog.text_index import DESCRIPTION_READ
from catalog.vectors import as_text
from tenancy.scope import current_tenant_id

# Rows that another worker is encoding are passed over.
WAITING = """
    SELECT text.id, item.title, item.brand, item.categories, left(item.description, %s)
    FROM catalog_itemtext AS text JOIN catalog_item AS item ON item.tenant_id = text.tenant_id AND item.id = text.id
    WHERE text.tenant_id = %s AND text.encoder = '' LIMIT %s FOR UPDATE OF text SKIP LOCKED"""
WRITE_VECTORS = """
    INSERT INTO catalog_itemvector (id, tenant_id, embedding)
    SELECT id, %s, embedding::vector FROM unnest(%s::uuid[], %s::text[]) AS row(id, embedding)
    ORDER BY id ON CONFLICT (tenant_id, id) DO UPDATE SET embedding = excluded.embedding"""


@dataclass(frozen=True)
class WaitingText:
    """An item's text that no encoder has read as it is now."""

    id: UUID
    text: str


def waiting_texts(limit: int) -> list[WaitingText]:
    """Some of the texts without a vector, locked until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [DESCRIPTION_READ, current_tenant_id(), limit])
        return [WaitingText(id, _text(*columns)) for id, *columns in cursor.fetchall()]


def _text(title: str, brand: str, categories: Sequence[str], description: str) -> str:
    parts = [title, ", ".join([*([brand] if brand else []), *categories]), description]
    return "\n".join(part.strip() for part in parts if part.strip())


def store_vectors(texts: Sequence[WaitingText], vectors: Iterable[Any], *, encoder: str) -> None:
    """`vectors` (N, VECTOR_DIMENSION), one for each text; one of zeros says that the text holds nothing."""
    told = [(text, vector) for text, vector in zip(texts, vectors, strict=True) if any(vector)]
    ids = [text.id for text, _ in told]
    embeddings = [as_text(vector) for _, vector in told]
    with connection.cursor() as cursor:
        cursor.execute(WRITE_VECTORS, [current_tenant_id(), ids, embeddings])
    ItemText.objects.filter(id__in=[text.id for text in texts]).update(encoder=encoder)


def forget_other_encoders(encoder: str) -> None:
    """Have the texts that another encoder has read wait again: its vectors do not compare with this one's."""
    others = ItemText.objects.filter(Q(encoder__gt="", encoder__lt=encoder) | Q(encoder__gt=encoder))
    if others.exists():
        ItemVector.objects.filter(id__in=others.values("id")).delete()
        others.update(encoder="")


def has_vectors() -> bool:
    return ItemVector.objects.exists()
