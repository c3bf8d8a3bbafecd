"""Transactions as the risk desk reads them, and what became known of them."""

from django.db import models

from behavior.models import tenant_of_log
from tenancy.models import TenantOwned

IN_HISTORIES = ["transaction_id", "type", "amount", "fraud_known_at", "cleared_at"]


class Transaction(models.Model):
    """One payment, transfer or withdrawal: the same fact as its event in the log, keyed by all who take part.

    Histories are read by subject (the customer), counterparty (merchant, terminal, payee), device and card. Who is a
    person or belongs to one is held as a keyed hash; a counterparty is named as the client names it.

    A transaction is known to be fraud from `fraud_known_at` until `cleared_at` (both exist only where a label said so),
    so that what was known at any moment can be told afterwards.
    """

    pk = models.CompositePrimaryKey("tenant_id", "transaction_id")
    tenant = tenant_of_log()
    transaction_id = models.CharField(max_length=200, db_collation="C", help_text="the client's own id")
    event_id = models.UUIDField(help_text="its event in the log")
    decision_id = models.UUIDField(null=True, help_text="its assessment; empty where it was imported")
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    subject_key = models.BinaryField()
    type = models.CharField(max_length=64, db_collation="C", default="payment")
    amount = models.FloatField(help_text="in the desk's currency as far as it had a rate then, not negative")
    currency = models.CharField(max_length=3, db_collation="C", help_text="as the client named it")
    given_amount = models.FloatField(null=True, help_text="in `currency`, where `amount` is not")
    counterparty = models.CharField(max_length=200, null=True, db_collation="C")
    device_key = models.BinaryField(null=True)
    card_key = models.BinaryField(null=True)
    address_key = models.BinaryField(null=True)
    country = models.CharField(max_length=2, null=True, db_collation="C")
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    properties = models.JSONField(null=True)
    fraud_known_at = models.DateTimeField(null=True)
    cleared_at = models.DateTimeField(null=True)

    class Meta:
        # Each gives a party's newest transactions, with all that velocity features need, from the index alone.
        indexes = [
            models.Index(
                fields=["tenant", "subject_key", "-occurred_at"],
                include=["counterparty", "device_key", "card_key", *IN_HISTORIES],
                name="transaction_of_subject",
            ),
            models.Index(
                fields=["tenant", "counterparty", "-occurred_at"],
                include=["subject_key", "device_key", "card_key", *IN_HISTORIES],
                name="transaction_of_counterparty",
                condition=models.Q(counterparty__isnull=False),
            ),
            models.Index(
                fields=["tenant", "device_key", "-occurred_at"],
                include=["subject_key", "counterparty", "card_key", *IN_HISTORIES],
                name="transaction_of_device",
                condition=models.Q(device_key__isnull=False),
            ),
            models.Index(
                fields=["tenant", "card_key", "-occurred_at"],
                include=["subject_key", "counterparty", "device_key", *IN_HISTORIES],
                name="transaction_of_card",
                condition=models.Q(card_key__isnull=False),
            ),
            models.Index(
                fields=["tenant", "address_key"],
                name="transaction_address",
                condition=models.Q(address_key__isnull=False),
            ),
            models.Index(fields=["tenant", "-occurred_at"], name="transaction_newest"),
            models.Index(
                fields=["tenant", "decision_id"],
                include=["occurred_at", "amount", "currency", "fraud_known_at", "cleared_at"],
                name="transaction_assessed",
                condition=models.Q(decision_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.transaction_id


class Label(TenantOwned):
    """What somebody found out about a transaction. Append-only: a later label answers an earlier one.

    `known_at` is when the tenant learned it, which may lie before the label was sent; nothing that is computed for a
    moment may rest on labels that were known only after it.
    """

    class Kind(models.TextChoices):
        FRAUD = "fraud", "Fraud"
        CHARGEBACK = "chargeback", "Chargeback"
        FALSE_ALARM = "false_alarm", "False alarm"
        GENUINE = "genuine", "Genuine"

    class Source(models.TextChoices):
        API = "api", "API"
        CONSOLE = "console", "Console"
        FILE = "file", "File"

    transaction_id = models.CharField(max_length=200, db_collation="C")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    known_at = models.DateTimeField()
    source = models.CharField(max_length=10, choices=Source.choices)
    actor = models.CharField(max_length=150, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index("tenant", "transaction_id", models.F("known_at").desc(), name="label_transaction"),
            models.Index("tenant", models.F("known_at").desc(), name="label_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.transaction_id}: {self.get_kind_display()}"
