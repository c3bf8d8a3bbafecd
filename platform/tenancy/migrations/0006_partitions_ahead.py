"""Partitions of every partitioned table are made ahead, each without keeping anybody from its table: a table of its own
is attached, and an attempt that would have to wait for a long reader gives up, since the next one comes in time."""

from django.db import migrations

from tenancy.operations import PARTITION_SCHEMA

MAKE_PARTITIONS_AHEAD = migrations.RunSQL(
    f"""
    CREATE FUNCTION make_partitions_ahead(months_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s' AS $$
    DECLARE
        first date := date_trunc('month', now() AT TIME ZONE 'UTC')::date;
        parent text;
        start date;
        made integer := 0;
        partition text;
    BEGIN
        FOR parent IN
            SELECT c.relname FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
            WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1
        LOOP
            FOR month IN 0..least(greatest(months_ahead, 0), 24) LOOP
                start := first + make_interval(months => month);
                partition := parent || '_' || to_char(start, 'YYYYMM');
                IF to_regclass('{PARTITION_SCHEMA}.' || quote_ident(partition)) IS NULL THEN
                    EXECUTE format(
                        'CREATE TABLE {PARTITION_SCHEMA}.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                        'INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING GENERATED)', partition, parent);
                    EXECUTE format(
                        'ALTER TABLE public.%I ATTACH PARTITION {PARTITION_SCHEMA}.%I FOR VALUES FROM (%L) TO (%L)',
                        parent, partition,
                        start::timestamp AT TIME ZONE 'UTC',
                        (start + interval '1 month')::timestamp AT TIME ZONE 'UTC');
                    made := made + 1;
                END IF;
            END LOOP;
        END LOOP;
        RETURN made;
    END $$;
    """,
    "DROP FUNCTION make_partitions_ahead(integer);",
)

# Where some have run out already, nothing can be stored until they are made. Who keeps a table locked for long leaves
# it to the next turn of beat.
MAKE_NOW = migrations.RunSQL(
    """
    DO $$ BEGIN
        PERFORM make_partitions_ahead(3);
    EXCEPTION WHEN lock_not_available THEN
        RAISE WARNING 'partitions are not made yet, since a table is locked';
    END $$;
    """,
    migrations.RunSQL.noop,
)


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0005_enter_by_key"),
    ]

    operations = [MAKE_PARTITIONS_AHEAD, MAKE_NOW]
