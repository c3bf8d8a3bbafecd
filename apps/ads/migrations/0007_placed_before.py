"""What was placed before a subject lately, read behind the subject's lock in one message to the database."""

from django.db import migrations

# Volatile, so that the read sees what was committed while it waited for the lock; a statement of its own would see the
# rows of the moment at which it began to wait. It runs with its caller's rights, so row-level security holds.
PLACED = """
    CREATE FUNCTION ads_placed(tenant integer, keys bytea[], moment timestamptz, since timestamptz)
    RETURNS TABLE (flight uuid, age double precision)
    LANGUAGE plpgsql VOLATILE ROWS 20 AS $$
    #variable_conflict use_column
    DECLARE
        held bytea;
    BEGIN
        -- All take them in one order, or two could wait for each other.
        FOR held IN SELECT DISTINCT one FROM unnest(keys) AS one ORDER BY one LOOP
            PERFORM pg_advisory_xact_lock(hashtextextended('ads:' || encode(held, 'hex'), tenant));
        END LOOP;
        -- Ages in seconds: a time of day is many times slower to read than a number.
        RETURN QUERY
            SELECT flight_id, date_part('epoch', moment - placed_at)
            FROM behavior_person(tenant, keys) AS person JOIN ads_delivery ON tenant_id = tenant
                AND subject_key = person.key AND placed_at > person.after AND placed_at <= person.until
            WHERE placed_at > since AND (impression_at IS NOT NULL OR (status = 'open' AND expires_at > moment));
    END $$"""


class Migration(migrations.Migration):
    dependencies = [("ads", "0006_own_people"), ("behavior", "0005_person_without_links")]

    operations = [
        migrations.RunSQL(PLACED, "DROP FUNCTION ads_placed(integer, bytea[], timestamptz, timestamptz)"),
    ]
