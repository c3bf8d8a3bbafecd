"""A tenant's chunks in the database: for those that do not fit into memory, or are not there yet."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection

from apps.service.engine import Vector
from apps.service.knowledge.asking import CANDIDATES, MOST_MATCHES, Ask, Ranking
from apps.service.knowledge.usual import usual_question
from catalog.models import VECTOR_DIMENSION
from catalog.vectors import as_text, from_sent
from serving.text_vectors import encoder_setting
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

# Weights are inverse frequencies as in BM25 (Robertson and Zaragoza, 2009), times how rare a term is in questions (as
# `ml.serving.passages.rarity`). The weightiest terms choose the candidates.
BY_WORDS = """
    WITH given AS (
        SELECT unnest(tsvector_to_array(to_tsvector('english', word))) AS term FROM unnest(%(words)s::text[]) AS word
        UNION SELECT unnest(%(pairs)s::text[])
    ),
    counted AS (
        SELECT given.term, coalesce(known.chunks, 1) AS chunks,
            greatest((SELECT chunks FROM service_termcount WHERE tenant_id = %(tenant)s AND term = ''), 1) AS total,
            CASE WHEN %(questions)s::integer = 0 THEN 1 ELSE greatest(0, ln((%(questions)s::integer + 1)
                / (coalesce((%(usual)s::jsonb ->> given.term)::integer, 0) + 0.5))) END AS rarity
        FROM given LEFT JOIN service_termcount AS known ON known.tenant_id = %(tenant)s AND known.term = given.term
    ),
    weighed AS (
        SELECT term, chunks, rarity * ln(1 + (greatest(total, chunks) - chunks + 0.5) / (chunks + 0.5)) AS weight
        FROM counted
    ),
    ordered AS (
        SELECT term, weight, sum(chunks) OVER heaviest AS reached, row_number() OVER heaviest AS place
        FROM weighed WINDOW heaviest AS (ORDER BY weight DESC, term)
    ),
    asked AS (
        SELECT string_agg(quote_literal(term), ' | ') FILTER (WHERE place = 1 OR reached <= %(most)s) AS query,
            array_agg(term) AS terms, array_agg(weight::float8) AS weights
        FROM ordered
    )
    SELECT found.id, found.relevance FROM asked CROSS JOIN LATERAL service_match_words(
        asked.query::tsquery, asked.terms, asked.weights, %(readers)s, %(kinds)s, %(language)s, %(most)s) AS found
    ORDER BY found.relevance DESC, found.id LIMIT %(candidates)s"""
BY_MEANING = """
    SELECT found.id, max(found.similarity) AS similarity
    FROM unnest(%(vectors)s::text[], %(neighbours)s::integer[]) AS asked(vector, neighbours)
    CROSS JOIN LATERAL service_match_meaning(
        asked.vector::vector, %(readers)s, %(kinds)s, %(language)s, asked.neighbours) AS found
    GROUP BY found.id ORDER BY similarity DESC, found.id LIMIT %(candidates)s"""
VECTORS = """
    SELECT id, vector_send(embedding) FROM service_chunk
    WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s) AND encoder = %(encoder)s AND embedding IS NOT NULL"""


class InDatabase:
    """Chunks by id."""

    def by_words(self, ask: Ask) -> Ranking:
        words, pairs = ask.terms
        usual = usual_question()
        given = {"words": words, "pairs": pairs, "most": MOST_MATCHES}
        with prepared_cursor() as cursor:
            cursor.execute(
                BY_WORDS, _values(ask) | given | {"questions": usual.questions, "usual": usual.terms_as_json}
            )
            return dict(cursor.fetchall())

    def by_meaning(self, ask: Ask, lookups: Sequence[tuple[Vector, int]]) -> Ranking:
        given = {
            "vectors": [as_text(vector.tolist()) for vector, _ in lookups],
            "neighbours": [neighbours for _, neighbours in lookups],
        }
        with connection.cursor() as cursor:
            cursor.execute(BY_MEANING, _values(ask) | given)
            return dict(cursor.fetchall())

    def vectors(self, keys: Sequence[UUID]) -> Vector:
        with connection.cursor() as cursor:
            cursor.execute(VECTORS, {"tenant": current_tenant_id(), "ids": list(keys), "encoder": encoder_setting()})
            found = {id: from_sent(sent) for id, sent in cursor.fetchall()}
        unread = np.zeros(VECTOR_DIMENSION, dtype=np.float32)
        return np.stack([found.get(id, unread) for id in keys])

    def ids(self, keys: Sequence[UUID]) -> list[UUID]:
        return list(keys)


def _values(ask: Ask) -> dict[str, Any]:
    return {
        "tenant": current_tenant_id(),
        "readers": ask.readers,
        "kinds": ask.kinds,
        "language": ask.language,
        "candidates": CANDIDATES,
    }
