"""Sources of knowledge, their versions and chunks, and the functions through which chunks are found."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.utils.timezone
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

# The functions that search narrow by what a reader may see while they read, so that what may not be seen takes no
# place.
# `for_readers` null means all of them.
MAY_BE_FOUND = """
    (for_readers IS NULL OR own.readers && for_readers) AND (of_kinds IS NULL OR own.kind = ANY(of_kinds))
    AND (in_language = '' OR own.language = in_language)
    AND (own.valid_from IS NULL OR own.valid_from <= now()) AND (own.valid_until IS NULL OR now() < own.valid_until)"""
NARROWED = "for_readers text[], of_kinds text[], in_language text, most integer"
# BM25 (Robertson and Zaragoza, 2009) with k1 = 1.2 and without a correction for length, since chunks are about as long
# as each other: the sum of weight * n / (n + 1.2) over the terms, an occurrence in the title counting as three, one in
# the headings as two. Each document is taken apart once, so that a long query costs hardly more than a short one.
MATCH_WORDS = f"""
    CREATE FUNCTION service_match_words(query tsquery, asked text[], asked_weights double precision[], {NARROWED})
    RETURNS TABLE (id uuid, relevance double precision) ROWS 100 {AS_OWNER} AS $$
        SELECT matched.id, sum(term.weight * times / (times + 1.2))
        FROM (
            SELECT own.id, own.document FROM public.service_chunk AS own
            WHERE {OWN_ROWS} AND own.document @@ query AND {MAY_BE_FOUND} LIMIT most
        ) AS matched
        CROSS JOIN LATERAL unnest(matched.document) AS word
        JOIN unnest(asked, asked_weights) AS term(lexeme, weight) ON term.lexeme = word.lexeme
        CROSS JOIN LATERAL (
            SELECT sum(CASE place WHEN 'A' THEN 3 WHEN 'B' THEN 2 ELSE 1 END)::double precision AS times
            FROM unnest(word.weights) AS place
        ) AS counted
        GROUP BY matched.id
    $$"""
MATCH_MEANING = f"""
    CREATE FUNCTION service_match_meaning(query vector, {NARROWED})
    RETURNS TABLE (id uuid, similarity double precision) ROWS 100 {AS_CALLER}
    SET hnsw.ef_search = 100 SET hnsw.iterative_scan = relaxed_order AS $$
        SELECT own.id, 1 - (own.embedding <=> query) FROM public.service_chunk AS own
        WHERE tenant_id = {IN_SCOPE} AND own.embedding IS NOT NULL AND {MAY_BE_FOUND}
        ORDER BY own.embedding <=> query LIMIT most
    $$"""
NARROWED_TYPES = "text[], text[], text, integer"
FUNCTIONS = {
    f"service_match_words(tsquery, text[], double precision[], {NARROWED_TYPES})": MATCH_WORDS,
    f"service_match_meaning(vector, {NARROWED_TYPES})": MATCH_MEANING,
}


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("catalog", "0005_vector_neighbours"),
        ("tenancy", "0003_definer_search_path"),
    ]

    operations = [
        migrations.CreateModel(
            name="KnowledgeImport",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "files",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), size=None),
                ),
                ("counts", models.JSONField(help_text="how many rows were ok, duplicate and rejected")),
                ("results", models.JSONField(help_text="one for each row, in their order")),
                ("actor", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "import of knowledge",
                "verbose_name_plural": "imports of knowledge",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Source",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("article", "Article"), ("macro", "Macro"), ("reply", "Past reply")],
                        default="article",
                        max_length=10,
                    ),
                ),
                (
                    "external_id",
                    models.CharField(
                        blank=True,
                        db_collation="C",
                        help_text="The tenant's own id of it; an import goes by it.",
                        max_length=200,
                    ),
                ),
                ("title", models.CharField(max_length=300)),
                ("body", models.TextField(max_length=100000)),
                (
                    "language",
                    models.CharField(
                        choices=[("en", "English"), ("zh", "Chinese"), ("other", "Another")], default="en", max_length=5
                    ),
                ),
                (
                    "audience",
                    models.CharField(
                        choices=[
                            ("public", "Everybody"),
                            ("segment", "Customers of the named segments"),
                            ("agents", "Agents only"),
                        ],
                        default="public",
                        max_length=10,
                    ),
                ),
                (
                    "segments",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50), blank=True, default=list, size=None
                    ),
                ),
                (
                    "tags",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50), blank=True, default=list, size=None
                    ),
                ),
                ("valid_from", models.DateTimeField(blank=True, null=True)),
                ("valid_until", models.DateTimeField(blank=True, null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("draft", "Draft"), ("published", "Published"), ("retired", "Retired")],
                        default="draft",
                        max_length=10,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=0, editable=False)),
                ("content_hash", models.BinaryField(help_text="of kind, title and body", max_length=32)),
                (
                    "stripped",
                    models.JSONField(
                        default=dict, help_text="what was taken out of the last text that was written, counted"
                    ),
                ),
                ("created_by", models.CharField(editable=False, max_length=200)),
                ("updated_by", models.CharField(editable=False, max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "article or macro",
                "verbose_name_plural": "articles and macros",
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Chunk",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("place", models.PositiveIntegerField(help_text="from 0")),
                ("headings", models.TextField(blank=True)),
                ("text", models.TextField()),
                ("kind", models.CharField(max_length=10)),
                (
                    "language",
                    models.CharField(help_text="zh where most of the chunk is, whatever the source says", max_length=5),
                ),
                (
                    "readers",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None),
                ),
                ("valid_from", models.DateTimeField(null=True)),
                ("valid_until", models.DateTimeField(null=True)),
                ("document", django.contrib.postgres.search.SearchVectorField()),
                ("encoder", models.CharField(blank=True, db_collation="C", max_length=16)),
                ("embedding", catalog.vectors.VectorField(dimension=384, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
                (
                    "source",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="service.source",
                    ),
                ),
            ],
            options={
                "ordering": ["source", "place"],
            },
        ),
        migrations.CreateModel(
            name="SourceVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField()),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("created", "Made"),
                            ("changed", "Changed"),
                            ("published", "Published"),
                            ("retired", "Retired"),
                            ("restored", "Restored"),
                        ],
                        max_length=10,
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("contents", models.JSONField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "source",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="versions",
                        to="service.source",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "ordering": ["-version"],
            },
        ),
        migrations.CreateModel(
            name="TermCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "term", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("term", models.CharField(db_collation="C", max_length=400)),
                ("chunks", models.PositiveIntegerField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        default=tenancy.scope.current_tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="source",
            index=models.Index(
                models.F("tenant"), models.F("kind"), models.F("status"), models.F("id"), name="source_kind_status"
            ),
        ),
        migrations.AddIndex(
            model_name="source",
            index=models.Index(models.F("tenant"), models.F("content_hash"), name="source_content"),
        ),
        migrations.AddConstraint(
            model_name="source",
            constraint=models.UniqueConstraint(
                condition=models.Q(("external_id", ""), _negated=True),
                fields=("tenant", "kind", "external_id"),
                name="source_external_id",
            ),
        ),
        migrations.AddIndex(
            model_name="chunk",
            index=django.contrib.postgres.indexes.GinIndex(
                models.F("tenant"), models.F("document"), name="chunk_document"
            ),
        ),
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(models.F("tenant"), models.F("encoder"), models.F("language"), name="chunk_encoder"),
        ),
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(models.F("tenant"), models.F("created_at"), name="chunk_created"),
        ),
        migrations.AddConstraint(
            model_name="chunk",
            constraint=models.UniqueConstraint(fields=("tenant", "source", "place"), name="chunk_place"),
        ),
        migrations.AddConstraint(
            model_name="sourceversion",
            constraint=models.UniqueConstraint(fields=("tenant", "source", "version"), name="source_version"),
        ),
        migrations.RunSQL(
            "CREATE INDEX chunk_neighbours ON service_chunk USING hnsw (embedding vector_cosine_ops) "
            "WITH (m = 24, ef_construction = 200)",
            "DROP INDEX chunk_neighbours",
        ),
        protect("service_source"),
        protect("service_sourceversion", privileges="SELECT, INSERT"),
        protect("service_chunk"),
        protect("service_termcount", primary_key=None),
        protect("service_knowledgeimport", privileges="SELECT, INSERT"),
        tie("service_sourceversion", "source_id", "service_source"),
        tie("service_chunk", "source_id", "service_source", on_delete="CASCADE"),
        let_functions_search("service_chunk"),
        # Only a loaded extension's settings may be fixed to a function.
        migrations.RunSQL("SELECT '[1]'::vector", migrations.RunSQL.noop),
        *[make_function(signature, definition) for signature, definition in FUNCTIONS.items()],
    ]
