"""A help desk's ticket that changes its customer is one conversation for each of them."""

from django.db import migrations, models

TABLE = "service_conversation"
FORMER, NEW = "conversation_external", "conversation_ticket"
# Row-level security holds for the owner too, so tenant by tenant; the newest customer keeps the ticket.
KEEP_ONE = f"""
    DO $$
    DECLARE
        tenant integer;
    BEGIN
        FOR tenant IN SELECT id FROM tenancy_tenant LOOP
            PERFORM set_config('app.tenant', tenant::text, true);
            UPDATE {TABLE} AS former SET external_id = NULL
                WHERE tenant_id = tenant AND external_id IS NOT NULL AND EXISTS (
                    SELECT FROM {TABLE} AS later WHERE later.tenant_id = tenant AND later.source = former.source
                        AND later.external_id = former.external_id AND later.id > former.id
                );
        END LOOP;
        PERFORM set_config('app.tenant', '', true);
    END $$"""


def swap(new: str, columns: str, former: str) -> list[str]:
    """Concurrently: conversations go on being written while the index is built."""
    return [
        f"DROP INDEX CONCURRENTLY IF EXISTS {new}",
        f"CREATE UNIQUE INDEX CONCURRENTLY {new} ON {TABLE} ({columns})",
        f"ALTER TABLE {TABLE} DROP CONSTRAINT {former}, ADD CONSTRAINT {new} UNIQUE USING INDEX {new}",
    ]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("service", "0010_conversation_segments")]

    operations = [
        migrations.RunSQL(
            swap(NEW, "tenant_id, source, external_id, subject_key", FORMER),
            [KEEP_ONE, *swap(FORMER, "tenant_id, source, external_id", NEW)],
            state_operations=[
                migrations.RemoveConstraint("conversation", FORMER),
                migrations.AddConstraint(
                    "conversation",
                    models.UniqueConstraint(fields=["tenant", "source", "external_id", "subject_key"], name=NEW),
                ),
            ],
        ),
        migrations.AlterField(
            "message",
            "author",
            models.CharField(max_length=200, blank=True, help_text="the name of the agent, or of another in a ticket"),
        ),
    ]
