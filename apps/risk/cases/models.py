"""What the desk works on: alerts, the cases that they belong to, and everything that was done with these."""

from django.db import models
from django.utils import timezone

from apps.risk.rules.models import RiskSeverity
from tenancy.models import TenantOwned


class CaseStatus(models.TextChoices):
    OPEN = "open", "Open"
    IN_REVIEW = "in_review", "In review"
    ESCALATED = "escalated", "Escalated"
    CONFIRMED = "confirmed", "Confirmed fraud"
    FALSE_ALARM = "false_alarm", "False alarm"
    MERGED = "merged", "Merged"


class Outcome(models.TextChoices):
    """What the desk said of a single alert."""

    CONFIRMED = CaseStatus.CONFIRMED.value, CaseStatus.CONFIRMED.label
    FALSE_ALARM = CaseStatus.FALSE_ALARM.value, CaseStatus.FALSE_ALARM.label


UNDER_WAY = (CaseStatus.OPEN, CaseStatus.IN_REVIEW, CaseStatus.ESCALATED)
CLOSED = (CaseStatus.CONFIRMED, CaseStatus.FALSE_ALARM, CaseStatus.MERGED)


class Case(TenantOwned):
    """The alerts of one subject that are looked at together. A subject has at most one case under way.

    `version` grows with each change: who changes a case says which version was seen. `release_asked_by` has asked to
    close the case as a false alarm, which waits for somebody else to approve it; `release_person` is the person behind.
    A case that was `merged_into` another one is closed, and what comes of its subject goes there.
    """

    number = models.PositiveIntegerField(help_text="counted for each tenant, from 1")
    subject_key = models.BinaryField()
    status = models.CharField(max_length=12, choices=CaseStatus.choices, default=CaseStatus.OPEN)
    severity = models.CharField(max_length=10, choices=RiskSeverity.choices)
    assignee = models.CharField(max_length=200, blank=True)
    release_asked_by = models.CharField(max_length=200, blank=True)
    release_person = models.CharField(max_length=200, blank=True, default="", db_default="")
    merged_into = models.ForeignKey(
        "self", models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="merged"
    )
    alert_count = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=1)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="by when the desk means to have decided, from the severity")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "number"], name="case_number"),
            models.UniqueConstraint(
                fields=["tenant", "subject_key"], condition=models.Q(closed_at=None), name="case_of_subject"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "status", "due_at"], name="case_queue"),
            models.Index(
                fields=["tenant", "subject_key", "merged_into"],
                name="case_merged",
                condition=models.Q(merged_into__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Case {self.number}"

    @property
    def is_overdue(self) -> bool:
        return self.closed_at is None and self.due_at < timezone.now()


class Alert(TenantOwned):
    """A transaction that somebody should look at, as it was assessed; at most one for each transaction.

    `outcome` is what was said of this one alone; empty where its case speaks for it.
    """

    case = models.ForeignKey(Case, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="alerts")
    transaction_id = models.CharField(max_length=200, db_collation="C")
    decision_id = models.UUIDField()
    subject_key = models.BinaryField()
    severity = models.CharField(max_length=10, choices=RiskSeverity.choices)
    verdict = models.CharField(max_length=10)
    score = models.FloatField()
    amount = models.FloatField()
    currency = models.CharField(max_length=3)
    reasons = models.JSONField(default=list)
    rules = models.JSONField(default=list)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True, default="", db_default="")
    release_asked_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    release_person = models.CharField(max_length=200, blank=True, default="", db_default="")
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "transaction_id"], name="alert_transaction")]
        indexes = [
            models.Index("tenant", "case", models.F("occurred_at").desc(), name="alert_case"),
            models.Index("tenant", models.F("created_at").desc(), name="alert_newest"),
            models.Index("tenant", "subject_key", models.F("created_at").desc(), name="alert_subject"),
        ]

    def __str__(self) -> str:
        return self.transaction_id

    @property
    def status(self) -> str:
        """What was said of this one alone, else that of its case."""
        return self.outcome or self.case.status


class CaseEvent(TenantOwned):
    """One thing that was done with a case. Append-only."""

    class Kind(models.TextChoices):
        OPENED = "opened", "Opened"
        ALERTED = "alerted", "New alerts"
        ASSIGNED = "assigned", "Assigned"
        MOVED = "moved", "Moved"
        NOTED = "noted", "Note"
        RELEASE_ASKED = "release_asked", "Release asked for"
        RELEASE_REFUSED = "release_refused", "Release refused"
        ALERT_DECIDED = "alert_decided", "Alert decided"
        ALERT_RELEASE_ASKED = "alert_release_asked", "Release of an alert asked for"
        ALERT_RELEASE_REFUSED = "alert_release_refused", "Release of an alert refused"
        MERGED = "merged", "Merged"

    case = models.ForeignKey(Case, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events")
    kind = models.CharField(max_length=30, choices=Kind.choices)
    actor = models.CharField(max_length=200)
    before = models.CharField(max_length=200, blank=True)
    after = models.CharField(max_length=200, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index("tenant", "case", models.F("created_at").desc(), name="case_event_newest")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.after}".strip()
