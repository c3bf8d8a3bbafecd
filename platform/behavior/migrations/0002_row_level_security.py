"""Row-level security and privileges: the log is append-only, and only the application opens the vault."""

from django.db import migrations

from tenancy.operations import protect, tie

READ = "SELECT"
APPEND = "SELECT, INSERT"
# A replay from the console adds subjects to the vault, but no console can read a sealed id.
VAULT_WITHOUT_IDS = "INSERT, SELECT (tenant_id, subject_key)"


class Migration(migrations.Migration):
    dependencies = [("behavior", "0001_initial")]

    operations = [
        protect("behavior_event", primary_key=None, privileges=APPEND),
        protect(
            "behavior_eventreceipt",
            primary_key=None,
            privileges="SELECT, INSERT, DELETE",
            console_privileges=APPEND,
        ),
        protect("behavior_subjectidentity", primary_key=None, privileges=APPEND, console_privileges=VAULT_WITHOUT_IDS),
        protect("behavior_quarantine", privileges="SELECT, INSERT, UPDATE"),
        protect("behavior_import", privileges="SELECT, INSERT, UPDATE", console_privileges=READ),
        protect("behavior_itempopularity", primary_key=None, console_privileges=READ),
        protect("behavior_logposition", console_privileges=READ),
        protect("behavior_snapshot", console_privileges=READ),
        protect("behavior_cleaningreport", console_privileges=READ),
        protect("behavior_cleaningdrop", console_privileges=READ),
        tie("behavior_cleaningreport", "snapshot_id", "behavior_snapshot"),
        tie("behavior_cleaningdrop", "report_id", "behavior_cleaningreport"),
    ]
