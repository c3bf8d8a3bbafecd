"""Labels and transactions by the command line."""

import io
from pathlib import Path

from django.core.management import call_command

from apps.risk.transactions.models import Label, Transaction
from behavior.services import store_events
from tenancy.models import Tenant
from tenancy.scope import tenant_scope


def run(command: str, *arguments: str) -> str:
    output = io.StringIO()
    call_command(command, *arguments, stdout=output)
    return output.getvalue()


def test_a_file_of_labels_is_recorded_once(tenant: Tenant, tmp_path: Path) -> None:
    events = [
        {
            "message_id": f"m-{number}",
            "type": "payment",
            "subject": {"user_id": "u"},
            "value": 3,
            "created_at": "2024-01-01T00:00:00Z",
            "properties": {"transaction_id": f"t-{number}"},
        }
        for number in range(3)
    ]
    with tenant_scope(tenant.id):
        store_events(events=events, source="test", historical=True)
    assert "3 events of transactions were carried over" in run("project_transactions", "--tenant", tenant.slug)
    file = tmp_path / "labels.csv"
    file.write_text(
        "transaction_id,kind,known_at\n"
        "t-0,fraud,2024-01-05\nt-1,chargeback,2024-01-06T10:00:00Z\nt-9,fraud,2024-01-06\nt-2,stolen,2024-01-06\n"
    )
    first = run("import_labels", str(file), "--tenant", tenant.slug)
    assert first.startswith("2 ok, 0 duplicate, 2 invalid")
    assert [line.strip()[:29] for line in first.splitlines()[1:]] == [
        "row 3: transaction_id is not ",
        "row 4: kind must be one of fr",
    ]
    assert run("import_labels", str(file), "--tenant", tenant.slug).startswith("0 ok, 2 duplicate, 2 invalid")
    with tenant_scope(tenant.id):
        assert set(Label.objects.values_list("source", flat=True)) == {"file"}
        assert Transaction.objects.exclude(fraud_known_at=None).count() == 2
