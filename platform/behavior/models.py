"""The event log, what guards it (receipts, quarantine, vault), and what is derived from it."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from uuid_utils.compat import uuid7

from tenancy.models import Tenant, TenantOwned
from tenancy.scope import current_tenant_id


def tenant_of_log() -> models.ForeignKey:
    """The tenant of a high-volume table: row-level security guards it, so no foreign key is checked row by row."""
    return models.ForeignKey(
        Tenant,
        models.DO_NOTHING,
        default=current_tenant_id,
        editable=False,
        db_index=False,
        db_constraint=False,
        related_name="+",
    )


class TimeQuality(models.TextChoices):
    """How `occurred_at` was found."""

    SERVER = "server", "Server: the event carried no time, so the time of receipt is used"
    CLIENT = "client", "Client: the client's clock is taken as it is, because no sent_at came with it"
    CORRECTED = "corrected", "Corrected: receipt minus the client's own delay, so a wrong client clock does no harm"
    CLAMPED = "clamped", "Clamped: the client's time lay in the future"
    HISTORICAL = "historical", "Historical: imported with its own time"


class Consent(models.IntegerChoices):
    """Purposes that the subject agreed to, as bits."""

    PERSONALISATION = 1
    TRAINING = 2


ALL_CONSENT = Consent.PERSONALISATION | Consent.TRAINING


class Event(models.Model):
    """One thing that a subject did. Append-only; partitioned by month of `received_at`.

    In the database the primary key is (tenant_id, event_id, received_at).
    """

    event_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = tenant_of_log()
    received_at = models.DateTimeField()
    occurred_at = models.DateTimeField()
    time_quality = models.CharField(max_length=10, choices=TimeQuality.choices)
    subject_key = models.BinaryField()
    session_key = models.BinaryField(null=True)
    type = models.CharField(max_length=64, db_collation="C")
    item_id = models.CharField(max_length=200, null=True, db_collation="C")
    value = models.FloatField(null=True)
    quantity = models.FloatField(null=True)
    currency = models.CharField(max_length=3, null=True)
    decision_id = models.UUIDField(null=True)
    source = models.CharField(max_length=100)
    consent = models.SmallIntegerField(default=ALL_CONSENT)
    properties = models.JSONField(null=True)

    class Meta:
        indexes = [
            BrinIndex(fields=["received_at"], name="event_received"),
            models.Index("tenant", "subject_key", models.F("occurred_at").desc(), name="event_subject"),
            models.Index(
                fields=["tenant", "decision_id"],
                name="event_decision",
                condition=models.Q(decision_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.item_id or ''}".strip()


class EventReceipt(models.Model):
    """Proof that a message was stored, in the same transaction as its event; kept for 35 days."""

    pk = models.CompositePrimaryKey("tenant_id", "message_id")
    tenant = tenant_of_log()
    message_id = models.CharField(max_length=200, db_collation="C")
    payload_hash = models.BigIntegerField()
    event_id = models.UUIDField()
    received_at = models.DateTimeField()

    class Meta:
        indexes = [BrinIndex(fields=["received_at"], name="receipt_received")]

    def __str__(self) -> str:
        return self.message_id


class SubjectIdentity(models.Model):
    """The vault: a subject's raw id, sealed with AES-256-GCM. No process but the application may read `sealed_id`."""

    pk = models.CompositePrimaryKey("tenant_id", "subject_key")
    tenant = tenant_of_log()
    subject_key = models.BinaryField()
    kind = models.CharField(max_length=12)
    sealed_id = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "subject identities"

    def __str__(self) -> str:
        return self.kind


class IdentityLink(models.Model):
    """That two subject keys are one person: a row of the ledger, written once; undoing it only marks it.

    A login ties an anonymous visitor's key (`from_key`) to a user's (`to_key`), and a row stands for each time that the
    device changes hands. A merge ties two users. No event is ever changed: who an event belongs to is found by
    `behavior_person()`, a function of the database.
    """

    class Kind(models.TextChoices):
        LOGIN = "login"
        MERGE = "merge"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = tenant_of_log()
    kind = models.CharField(max_length=5, choices=Kind.choices)
    from_key = models.BinaryField()
    to_key = models.BinaryField()
    since = models.DateTimeField(help_text="when the person logged in or was merged")
    event_id = models.UUIDField(null=True, help_text="event that carried both ids")
    source = models.CharField(max_length=150, help_text="source of the event, 'request', or who made the link")
    created_at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=150, blank=True)

    class Meta:
        indexes = [
            models.Index("tenant", "from_key", "kind", models.F("since").desc(), name="identity_link_from"),
            models.Index("tenant", "to_key", "kind", models.F("since").desc(), name="identity_link_to"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.since:%Y-%m-%d %H:%M}"


class Quarantine(TenantOwned):
    """An event that could not be stored as it came, kept word for word with the reasons."""

    class Status(models.TextChoices):
        OPEN = "open"
        REPLAYED = "replayed"
        DISCARDED = "discarded"

    source = models.CharField(max_length=100)
    row_number = models.BigIntegerField(null=True, help_text="row of the imported file, counted from 1")
    message_id = models.TextField(null=True)
    # ASCII-only JSON text, because jsonb takes neither NUL nor NaN nor a lone surrogate.
    raw = models.TextField()
    fingerprint = models.BinaryField(editable=False)
    reasons = models.JSONField(help_text='[{"field": ..., "code": ..., "message": ...}]')
    received_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    historical = models.BooleanField(default=False, help_text="came from an import, so it keeps its own time")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=150, blank=True)

    class Meta:
        verbose_name = "quarantined event"
        constraints = [models.UniqueConstraint(fields=["tenant", "fingerprint"], name="quarantine_fingerprint")]
        indexes = [models.Index("tenant", "status", models.F("received_at").desc(), name="quarantine_status")]

    def __str__(self) -> str:
        return self.message_id or str(self.id)


class Import(TenantOwned):
    """A file on its way into the log; progress is committed together with the rows that it counts."""

    class Status(models.TextChoices):
        RUNNING = "running"
        COMPLETED = "completed"

    file_name = models.CharField(max_length=255)
    file_digest = models.CharField(max_length=64)
    mapping = models.JSONField()
    mapping_digest = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    rows = models.BigIntegerField(default=0)
    ok = models.BigIntegerField(default=0)
    duplicate = models.BigIntegerField(default=0)
    quarantined = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    clamped = models.BigIntegerField(default=0, help_text="rows of `ok` whose time lay in the future")
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "file_digest", "mapping_digest"], name="import_file_and_mapping")
        ]

    def __str__(self) -> str:
        return self.file_name


class ItemPopularity(models.Model):
    """Events per hour, item and type: what popular lists read, so that they never scan the log."""

    pk = models.CompositePrimaryKey("tenant_id", "hour", "item_id", "type")
    tenant = tenant_of_log()
    hour = models.DateTimeField()
    item_id = models.CharField(max_length=200, db_collation="C")
    type = models.CharField(max_length=64, db_collation="C")
    count = models.BigIntegerField()

    class Meta:
        # Holds the counts too: an item's rows lie far apart, and some hundred items are asked for at a time.
        indexes = [
            models.Index(fields=["tenant", "item_id", "hour"], include=["type", "count"], name="item_popularity_item")
        ]

    def __str__(self) -> str:
        return f"{self.item_id} {self.type}"


class LogPosition(TenantOwned):
    """How far a reader of the log has come: everything received before `position` is done."""

    reader = models.CharField(max_length=50)
    position = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "reader"], name="log_position_reader")]

    def __str__(self) -> str:
        return self.reader


class Snapshot(TenantOwned):
    """The log up to `watermark` (exclusive) as columns on disk, cleaned, ready for training."""

    watermark = models.DateTimeField()
    path = models.CharField(max_length=500)
    events_read = models.BigIntegerField()
    events = models.BigIntegerField()
    subjects = models.BigIntegerField()
    items = models.BigIntegerField()
    without_consent = models.BigIntegerField(help_text="events left out because training was not agreed to")
    seconds = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index("tenant", models.F("watermark").desc(), name="snapshot_watermark")]

    def __str__(self) -> str:
        return f"{self.events} events to {self.watermark:%Y-%m-%d %H:%M}"


class CleaningReport(TenantOwned):
    """What one cleaning rule did to one snapshot."""

    snapshot = models.ForeignKey(Snapshot, models.CASCADE, db_constraint=False, db_index=False, related_name="cleaning")
    rule = models.CharField(max_length=30)
    effect = models.CharField(max_length=20)
    count = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "snapshot", "rule"], name="cleaning_rule")]

    def __str__(self) -> str:
        return f"{self.rule}: {self.count}"


class CleaningDrop(TenantOwned):
    """One of the events that a rule touched; the first thousand of each rule are kept to be looked at."""

    report = models.ForeignKey(
        CleaningReport, models.CASCADE, db_constraint=False, db_index=False, related_name="drops"
    )
    event_id = models.UUIDField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "report"], name="cleaning_drop_report")]

    def __str__(self) -> str:
        return str(self.event_id)
