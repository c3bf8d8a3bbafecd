"""Finding items by words and by meaning: what matches and may be shown, ranked, counted by facet; in one statement."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q

from catalog.models import Item
from catalog.selectors import VISIBLE
from catalog.text_query import TextQuery
from catalog.vectors import as_text
from tenancy.scope import current_tenant_id

# So many matches of the words are ranked and counted; a query that has more is too general to rank them by words.
MOST_MATCHES = 5_000
# So many nearest neighbours in meaning are looked at, and from this cosine on they count as found.
NEIGHBOURS = 200
LEAST_SIMILARITY = 0.35
# Reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): the sum of 1 / (60 + rank) over the rankings.
FUSION = 60
FACET_VALUES = 20
# Bounds of the price ranges, so that the same range means the same in every answer.
PRICES = [float(bound * 10**power) for power in range(7) for bound in (1, 2, 5)]

BY_WORDS = "SELECT id, relevance FROM catalog_match_words(%(query)s::tsquery, %(most)s)"
BY_MEANING = """
    SELECT id, similarity FROM catalog_match_meaning(%(vector)s::vector, %(neighbours)s)
    WHERE similarity >= %(least)s"""
NO_WORDS = "SELECT NULL::uuid AS id, NULL::real AS relevance WHERE false"
NO_MEANING = "SELECT NULL::uuid AS id, NULL::float8 AS similarity WHERE false"
# Where the words match more than are read, the few that meet a filter might not be among them: then the filter goes
# first, and each of its items is asked for the words.
BY_FILTER = """
    SELECT id, ts_rank(document, %(query)s::tsquery, 1) AS relevance
    FROM catalog_itemtext JOIN ({permitted}) AS item USING (id)
    WHERE catalog_itemtext.tenant_id = %(tenant)s AND document @@ %(query)s::tsquery LIMIT %(most)s"""
SEARCH = """
    WITH words AS MATERIALIZED ({words}),
    meaning AS MATERIALIZED ({meaning}),
    -- Apart from its join, or the id would be a coalesce(), for which no index is taken under row-level security.
    found AS MATERIALIZED (SELECT id, relevance, similarity FROM words FULL JOIN meaning USING (id)),
    matched AS MATERIALIZED (
        SELECT item.item_id, item.categories, item.brand, item.price, relevance, similarity,
            rank() OVER (ORDER BY relevance DESC NULLS LAST) AS word_rank,
            rank() OVER (ORDER BY similarity DESC NULLS LAST) AS meaning_rank
        FROM found CROSS JOIN LATERAL (
            -- OFFSET 0 keeps this an index probe for each match; as a join it would read the whole catalogue.
            SELECT * FROM ({permitted}) AS permitted WHERE permitted.id = found.id OFFSET 0
        ) AS item
    ),
    ranked AS (
        SELECT item_id, relevance IS NOT NULL AS has_words, similarity,
            CASE WHEN relevance IS NULL THEN 0 ELSE 1::float8 / ({fusion} + word_rank) END
            + CASE WHEN similarity IS NULL THEN 0 ELSE %(meaning_weight)s::float8 / ({fusion} + meaning_rank) END
            AS score
        FROM matched WHERE item_id <> ALL(%(exclude)s) ORDER BY score DESC, item_id LIMIT %(limit)s
    )
    SELECT (SELECT count(*) FROM words), (SELECT count(*) FROM matched),
        (SELECT count(*) FROM matched WHERE relevance IS NOT NULL),
        (SELECT coalesce(json_agg(ranked), '[]') FROM ranked), {facets}"""
FACETS = """
    (SELECT coalesce(json_agg(facet), '[]') FROM (
        SELECT value, count(*) FROM matched CROSS JOIN unnest(categories) AS value
        GROUP BY value ORDER BY count(*) DESC, value LIMIT {values}) AS facet),
    (SELECT coalesce(json_agg(facet), '[]') FROM (
        SELECT brand AS value, count(*) FROM matched WHERE brand <> ''
        GROUP BY brand ORDER BY count(*) DESC, brand LIMIT {values}) AS facet),
    (SELECT coalesce(json_agg(facet), '[]') FROM (
        SELECT width_bucket(price, %(prices)s::numeric[]) AS value, count(*) FROM matched WHERE price IS NOT NULL
        GROUP BY 1 ORDER BY 1) AS facet)"""
MATCHED_TERMS = """
    SELECT item.item_id, ARRAY(
        SELECT place FROM unnest(%s::text[]) WITH ORDINALITY AS term(query, place)
        WHERE document @@ query::tsquery ORDER BY place)
    FROM catalog_item AS item JOIN catalog_itemtext AS text ON text.tenant_id = item.tenant_id AND text.id = item.id
    WHERE item.tenant_id = %s AND item.item_id = ANY(%s)"""


@dataclass(frozen=True)
class Match:
    """`score` falls with the ranks by words and by meaning; `similarity` is the cosine to the query, None below the
    least that counts."""

    item_id: str
    score: float
    has_words: bool
    similarity: float | None


@dataclass(frozen=True)
class Facets:
    """How many of the matches each category, brand and price range has: (value, count), most first; a price range is
    (from, to), `to` exclusive, either None where it is open."""

    categories: list[tuple[str, int]]
    brands: list[tuple[str, int]]
    prices: list[tuple[tuple[float | None, float | None], int]]


@dataclass(frozen=True)
class Found:
    """The best matches, and how many there are in all. `is_capped`: there are more than that."""

    matches: list[Match]
    total: int
    with_words: int
    is_capped: bool
    facets: Facets | None


def search_items_by_text(
    query: str,
    *,
    vector: Sequence[float] | None = None,
    meaning_weight: float = 1.0,
    condition: Q | None = None,
    exclude: Collection[str] = (),
    limit: int = 500,
    facets: bool = False,
) -> Found:
    """Visible items that meet the condition and match `query`, a tsquery ('' matches none), or are near `vector`.

    `exclude` keeps items out of the matches, not out of the counts.
    """
    found = _search(BY_WORDS if query else NO_WORDS, query, vector, meaning_weight, condition, exclude, limit, facets)
    if found.is_capped and len(found.matches) < limit:
        found = _search(BY_FILTER, query, vector, meaning_weight, condition, exclude, limit, facets)
    return found


def _search(
    words: str,
    query: str,
    vector: Sequence[float] | None,
    meaning_weight: float,
    condition: Q | None,
    exclude: Collection[str],
    limit: int,
    facets: bool,
) -> Found:
    permitted, values = _permitted(condition)
    statement = SEARCH.format(
        words=words.format(permitted=permitted),
        meaning=BY_MEANING if vector is not None else NO_MEANING,
        permitted=permitted,
        fusion=FUSION,
        facets=FACETS.format(values=FACET_VALUES) if facets else "NULL, NULL, NULL",
    )
    values |= {
        "query": query,
        "most": MOST_MATCHES,
        "vector": as_text(vector) if vector is not None else None,
        "neighbours": NEIGHBOURS,
        "least": LEAST_SIMILARITY,
        "meaning_weight": meaning_weight,
        "exclude": list(exclude),
        "limit": limit,
        "prices": PRICES,
        "tenant": current_tenant_id(),
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        read, total, with_words, ranked, categories, brands, prices = cursor.fetchone()
    return Found(
        matches=[Match(row["item_id"], row["score"], row["has_words"], row["similarity"]) for row in ranked],
        total=total,
        with_words=with_words,
        is_capped=read == MOST_MATCHES,
        facets=_facets(categories, brands, prices) if facets else None,
    )


def _facets(categories: list[dict[str, Any]], brands: list[dict[str, Any]], prices: list[dict[str, Any]]) -> Facets:
    bounds = [None, *PRICES, None]
    return Facets(
        categories=[(row["value"], row["count"]) for row in categories],
        brands=[(row["value"], row["count"]) for row in brands],
        prices=[((bounds[row["value"]], bounds[row["value"] + 1]), row["count"]) for row in prices],
    )


def _permitted(condition: Q | None) -> tuple[str, dict[str, Any]]:
    """The items that may be shown as a subquery, with its parameters by name."""
    items = Item.objects.filter(VISIBLE, condition or Q()).order_by()
    sql, values = items.values("id", "item_id", "categories", "brand", "price").query.sql_with_params()
    names = [f"permitted_{number}" for number in range(len(values))]
    named = iter(names)
    return re.sub("%s", lambda _: f"%({next(named)})s", sql), dict(zip(names, values, strict=True))


def matched_terms(query: TextQuery, item_ids: Sequence[str]) -> dict[str, list[int]]:
    """By item the numbers of the query's terms that it matches, from 0."""
    with connection.cursor() as cursor:
        terms = [term.query for term in query.terms]
        cursor.execute(MATCHED_TERMS, [terms, current_tenant_id(), list(item_ids)])
        return {item_id: [place - 1 for place in places] for item_id, places in cursor.fetchall()}
