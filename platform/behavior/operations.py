"""Migration operations of tables that name subjects."""

from django.db import migrations


def tie_to_vault(table: str, column: str = "subject_key") -> migrations.RunSQL:
    """Foreign key (tenant_id, column) -> the vault: whoever is taken out of the vault, as an erasure does, is taken out
    of the table by the database, and nobody can be put in who is not there."""
    name = f"{table}_{column}_tie"
    return migrations.RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (tenant_id, {column}) "
        "REFERENCES behavior_subjectidentity (tenant_id, subject_key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )
