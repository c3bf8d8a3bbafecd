"""Covering indexes, so that a party's history is read from the index alone, built without a lock."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

IN_HISTORIES = ["transaction_id", "type", "amount", "fraud_known_at", "cleared_at"]
PARTIES = {
    "subject": "subject_key",
    "counterparty": "counterparty",
    "device": "device_key",
    "card": "card_key",
}
OLD_NAMES = ["transaction_subject", "transaction_counterparty", "transaction_device", "transaction_card"]


def covering(party: str) -> AddIndexConcurrently:
    column = PARTIES[party]
    others = [other for other in PARTIES.values() if other != column]
    return AddIndexConcurrently(
        "transaction",
        models.Index(
            fields=["tenant", column, "-occurred_at"],
            include=[*others, *IN_HISTORIES],
            name=f"transaction_of_{party}",
            condition=None if party == "subject" else models.Q((f"{column}__isnull", False)),
        ),
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("risk", "0001_transactions")]

    operations = [
        *[covering(party) for party in PARTIES],
        *[RemoveIndexConcurrently("transaction", name) for name in OLD_NAMES],
    ]
