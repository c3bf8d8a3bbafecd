"""The ledger of who is who, and the function that finds the keys of a person in it."""

import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

import tenancy.scope
from tenancy.operations import protect

# A row can be added and marked as undone, and never changed or removed.
LEDGER = "SELECT, INSERT, UPDATE (undone_at, undone_by)"
# In the database, because each read of a person's events needs it and may not cost a query of its own; PL/pgSQL keeps
# its plans. It runs with its caller's rights, so row-level security holds, and therefore each probe compares a column
# with a plain variable: an index is not used for an expression that could leak, such as coalesce(). For the rules see
# docs/identity.md.
PERSON = """
    CREATE FUNCTION behavior_person(tenant integer, keys bytea[])
    RETURNS TABLE (key bytea, after timestamptz, until timestamptz)
    LANGUAGE plpgsql STABLE ROWS 4 AS $$
    #variable_conflict use_column
    DECLARE
        named bytea := keys[1];
        device bytea := keys[2];
        visitor bytea := coalesce(keys[2], keys[1]);
        last_user bytea;
        last_login timestamptz;
        users bytea[];
    BEGIN
        IF named IS NULL THEN
            RETURN;
        END IF;
        SELECT to_key, since INTO last_user, last_login FROM behavior_identitylink
        WHERE tenant_id = tenant AND from_key = visitor AND kind = 'login' AND undone_at IS NULL
        ORDER BY since DESC, id DESC LIMIT 1;
        IF device IS NULL AND last_user IS NOT NULL THEN
            device := named;
            named := last_user;
        END IF;

        WITH RECURSIVE person(key) AS (
            SELECT named
            UNION
            SELECT joined.key FROM person CROSS JOIN LATERAL (
                SELECT to_key AS key FROM behavior_identitylink
                WHERE tenant_id = tenant AND from_key = person.key AND kind = 'merge' AND undone_at IS NULL
                UNION ALL
                SELECT from_key FROM behavior_identitylink
                WHERE tenant_id = tenant AND to_key = person.key AND kind = 'merge' AND undone_at IS NULL
            ) AS joined
        )
        SELECT array_agg(person.key) INTO users FROM person;

        IF device = keys[1] THEN
            PERFORM FROM behavior_identitylink WHERE tenant_id = tenant AND from_key = device AND kind = 'login'
                AND undone_at IS NULL AND to_key <> ALL (users);
            IF FOUND THEN
                RETURN QUERY SELECT device, last_login, 'infinity'::timestamptz;
                RETURN;
            END IF;
        END IF;

        RETURN QUERY SELECT one, '-infinity'::timestamptz, 'infinity'::timestamptz FROM unnest(users) AS one;
        RETURN QUERY
            SELECT login.from_key,
                coalesce((
                    SELECT since FROM behavior_identitylink AS earlier
                    WHERE tenant_id = tenant AND from_key = login.from_key AND kind = 'login' AND undone_at IS NULL
                        AND since <= login.since AND (since, id) < (login.since, login.id)
                    ORDER BY since DESC LIMIT 1
                ), '-infinity'),
                CASE WHEN EXISTS (
                    SELECT FROM behavior_identitylink AS later
                    WHERE tenant_id = tenant AND from_key = login.from_key AND kind = 'login' AND undone_at IS NULL
                        AND since >= login.since AND (since, id) > (login.since, login.id)
                ) THEN login.since ELSE 'infinity' END
            FROM (
                (SELECT newest.* FROM unnest(users) AS one CROSS JOIN LATERAL (
                    SELECT id, from_key, since FROM behavior_identitylink
                    WHERE tenant_id = tenant AND to_key = one AND kind = 'login' AND undone_at IS NULL
                    ORDER BY since DESC LIMIT 50
                ) AS newest ORDER BY since DESC LIMIT 50)
                UNION
                (SELECT id, from_key, since FROM behavior_identitylink
                WHERE tenant_id = tenant AND from_key = device AND to_key = ANY (users) AND kind = 'login'
                    AND undone_at IS NULL
                ORDER BY since DESC LIMIT 50)
            ) AS login;

        -- The request itself is a login that the ledger does not hold yet, unless the two were taken apart.
        IF device IS NOT NULL AND last_user <> ALL (users) IS NOT FALSE AND (
            SELECT bool_or(undone_at IS NULL) FROM behavior_identitylink
            WHERE tenant_id = tenant AND from_key = device AND to_key = ANY (users) AND kind = 'login'
        ) IS NOT FALSE THEN
            RETURN QUERY SELECT device, coalesce(last_login, '-infinity'), 'infinity'::timestamptz;
        END IF;
    END $$"""


class Migration(migrations.Migration):
    dependencies = [
        ("behavior", "0002_row_level_security"),
        ("tenancy", "0002_row_level_security"),
    ]

    operations = [
        migrations.CreateModel(
            name="IdentityLink",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("kind", models.CharField(choices=[("login", "Login"), ("merge", "Merge")], max_length=5)),
                ("from_key", models.BinaryField()),
                ("to_key", models.BinaryField()),
                ("since", models.DateTimeField(help_text="when the person logged in or was merged")),
                ("event_id", models.UUIDField(help_text="event that carried both ids", null=True)),
                (
                    "source",
                    models.CharField(help_text="source of the event, 'request', or who made the link", max_length=150),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("undone_at", models.DateTimeField(null=True)),
                ("undone_by", models.CharField(blank=True, max_length=150)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
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
                "indexes": [
                    models.Index(
                        models.F("tenant"),
                        models.F("from_key"),
                        models.F("kind"),
                        models.OrderBy(models.F("since"), descending=True),
                        name="identity_link_from",
                    ),
                    models.Index(
                        models.F("tenant"),
                        models.F("to_key"),
                        models.F("kind"),
                        models.OrderBy(models.F("since"), descending=True),
                        name="identity_link_to",
                    ),
                ],
            },
        ),
        protect("behavior_identitylink", privileges=LEDGER),
        migrations.RunSQL(PERSON, "DROP FUNCTION behavior_person(integer, bytea[])"),
    ]
