"""The index that searches read: words, vectors, and the functions through which the runtime roles ask it."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

import catalog.vectors
import tenancy.scope
from tenancy.operations import (
    AS_CALLER,
    AS_OWNER,
    IN_SCOPE,
    OWN_ROWS,
    let_functions_search,
    make_function,
    protect,
    tie,
)

# The embedded server has the first two already. btree_gin lets the tenant stand first in an index of words.
EXTENSIONS = ("vector", "pg_trgm", "btree_gin")
SEARCHED = ("catalog_itemtext", "catalog_itemword")
MATCH_WORDS = f"""
    CREATE FUNCTION catalog_match_words(query tsquery, most integer)
    RETURNS TABLE (id uuid, relevance real) ROWS 1000 {AS_OWNER} AS $$
        SELECT matched.id, ts_rank(matched.document, query, 1)
        FROM (
            SELECT own.id, own.document FROM public.catalog_itemtext AS own
            WHERE {OWN_ROWS} AND own.document @@ query LIMIT most
        ) AS matched
    $$"""
# An order takes its index under a policy too, so this one needs no more rights than its caller has. The graph knows no
# tenant: it is walked until enough of this tenant's are found, and a small tenant's rows are compared one by one.
MATCH_MEANING = f"""
    CREATE FUNCTION catalog_match_meaning(query vector, most integer)
    RETURNS TABLE (id uuid, similarity double precision) ROWS 100 {AS_CALLER}
    SET hnsw.ef_search = 200 SET hnsw.iterative_scan = relaxed_order AS $$
        SELECT own.id, 1 - (own.embedding <=> query) FROM public.catalog_itemvector AS own
        WHERE tenant_id = {IN_SCOPE} ORDER BY own.embedding <=> query LIMIT most
    $$"""
SIMILAR_WORDS = f"""
    CREATE FUNCTION catalog_similar_words(mistyped text[], most integer)
    RETURNS TABLE (asked text, word text, stem text) ROWS 100 {AS_OWNER} SET pg_trgm.similarity_threshold = 0.2 AS $$
        SELECT given.word, near.word, near.stem
        FROM unnest(mistyped) AS given(word) CROSS JOIN LATERAL (
            SELECT own.word, own.stem FROM public.catalog_itemword AS own
            WHERE {OWN_ROWS} AND own.is_name AND own.word % given.word
            ORDER BY similarity(own.word, given.word) DESC, own.word LIMIT most
        ) AS near
    $$"""
FUNCTIONS = {
    "catalog_match_words(tsquery, integer)": MATCH_WORDS,
    "catalog_match_meaning(vector, integer)": MATCH_MEANING,
    "catalog_similar_words(text[], integer)": SIMILAR_WORDS,
}


def tenant_key() -> models.ForeignKey:
    return models.ForeignKey(
        db_index=False,
        default=tenancy.scope.current_tenant_id,
        editable=False,
        on_delete=django.db.models.deletion.DO_NOTHING,
        related_name="+",
        to="tenancy.tenant",
    )


def identity() -> models.UUIDField:
    return models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0003_saved_filters"),
        ("tenancy", "0002_row_level_security"),
    ]

    operations = [
        *[migrations.RunSQL(f"CREATE EXTENSION IF NOT EXISTS {name}", migrations.RunSQL.noop) for name in EXTENSIONS],
        migrations.CreateModel(
            name="ItemText",
            fields=[
                ("id", identity()),
                ("document", django.contrib.postgres.search.SearchVectorField()),
                ("content_hash", models.BinaryField(max_length=32)),
                ("encoder", models.CharField(blank=True, db_collation="C", max_length=16)),
                ("item_updated_at", models.DateTimeField(help_text="the item as it was at this time")),
                ("tenant", tenant_key()),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex("tenant", "document", name="item_text_document"),
                    models.Index("tenant", "encoder", name="item_text_encoder"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ItemVector",
            fields=[
                ("id", identity()),
                ("embedding", catalog.vectors.VectorField(dimension=384)),
                ("tenant", tenant_key()),
            ],
        ),
        migrations.CreateModel(
            name="ItemWord",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "word", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("word", models.CharField(db_collation="C", max_length=100)),
                ("stem", models.CharField(db_collation="C", max_length=100)),
                (
                    "is_name",
                    models.BooleanField(help_text="in a title, a brand or a category: others are not corrected to"),
                ),
                ("tenant", tenant_key()),
            ],
            options={
                "indexes": [
                    models.Index("tenant", "stem", name="item_word_stem"),
                    django.contrib.postgres.indexes.GinIndex(
                        "tenant",
                        django.contrib.postgres.indexes.OpClass("word", name="gin_trgm_ops"),
                        condition=models.Q(("is_name", True)),
                        name="item_word_trigrams",
                    ),
                ],
            },
        ),
        migrations.RunSQL(
            "CREATE INDEX item_vector_embedding ON catalog_itemvector USING hnsw (embedding vector_cosine_ops)",
            "DROP INDEX item_vector_embedding",
        ),
        protect("catalog_itemtext"),
        protect("catalog_itemvector"),
        protect("catalog_itemword", primary_key=None),
        tie("catalog_itemtext", "id", "catalog_item", on_delete="CASCADE"),
        tie("catalog_itemvector", "id", "catalog_item", on_delete="CASCADE"),
        *[let_functions_search(table) for table in SEARCHED],
        # Only a loaded extension's settings may be fixed to a function.
        migrations.RunSQL("SELECT similarity('', ''), '[1]'::vector", migrations.RunSQL.noop),
        *[make_function(signature, definition) for signature, definition in FUNCTIONS.items()],
    ]
