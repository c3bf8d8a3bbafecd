"""Messages are found by their words: terms of a text, an index of them, and the function that asks it.

Words are cut at white space and punctuation, folded in case, width and accents; of what is written without spaces each
pair of neighbours is a term, and the last character alone, as in `catalog.text_analysis`. The index is over what a
function gives, so no column is added to a table that is in use.
"""

from django.db import migrations

from catalog.text_analysis import CJK, LONGEST_WORD
from tenancy.operations import AS_OWNER, OWN_ROWS, let_functions_search, make_function

# Of ASCII all but letters and digits; dashes, quotes and signs of other scripts.
PUNCTUATION = (
    "\\u0001-/:-@\\[-`{-\\u00bf\\u00d7\\u00f7\\u2000-\\u206f\\u2190-\\u2bff"
    "\\u3000-\\u3004\\u3008-\\u303f\\ufe10-\\ufe6f"
)
TERMS = f"""
    CREATE FUNCTION service_message_terms(said text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
        WITH folded AS (
            SELECT lower(normalize(regexp_replace(normalize(said, NFKD), '[\\u0300-\\u036f]', '', 'g'), NFC)) AS text
        )
        SELECT coalesce(array_to_tsvector(array_agg(DISTINCT term)), ''::tsvector) FROM (
            SELECT left(word, {LONGEST_WORD}) AS term
            FROM folded, regexp_split_to_table(regexp_replace(text, '[{CJK}]+', ' ', 'g'), '[{PUNCTUATION}]+') AS word
            UNION ALL
            SELECT substr(run[1], place, 2)
            FROM folded, regexp_matches(text, '[{CJK}]+', 'g') AS run, generate_series(1, length(run[1])) AS place
        ) AS found WHERE term <> ''
    $$"""
# Each word stands for those that begin with it; all of them must be in one message.
FIND = f"""
    CREATE FUNCTION service_find_messages(asked text, since timestamptz) RETURNS SETOF uuid ROWS 100 {AS_OWNER} AS $$
        SELECT DISTINCT conversation_id FROM public.service_message
        WHERE {OWN_ROWS} AND created_at >= since AND public.service_message_terms(text) @@ (
            SELECT string_agg(quote_literal(term) || ':*', ' & ')::tsquery
            FROM unnest(tsvector_to_array(public.service_message_terms(asked))) AS term
        )
    $$"""
INDEX = "message_terms"


class Migration(migrations.Migration):
    # Concurrently: messages go on coming while the index is built.
    atomic = False

    dependencies = [
        ("service", "0008_reply_experiment"),
    ]

    operations = [
        make_function("service_message_terms(text)", TERMS),
        migrations.RunSQL(
            (
                # What an interrupted build left.
                f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}",
                f"CREATE INDEX CONCURRENTLY {INDEX} ON service_message "
                "USING gin (tenant_id, public.service_message_terms(text))",
            ),
            f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}",
        ),
        let_functions_search("service_message"),
        make_function("service_find_messages(text, timestamptz)", FIND),
    ]
