"""What a rule would have done to the transactions of some past days."""

from django.db import models

from apps.risk.rules.models import RiskAction, RiskRule
from tenancy.models import TenantOwned


class BackTest(TenantOwned):
    """`report` is what a finished one found; see back_tests.reports.BackTestReport."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    rule = models.ForeignKey(
        RiskRule, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="back_tests"
    )
    expression = models.TextField(max_length=4000)
    action = models.CharField(max_length=10, choices=RiskAction.choices)
    from_day = models.DateField()
    to_day = models.DateField(help_text="this day included")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    progress = models.FloatField(default=0.0, help_text="from 0 to 1")
    report = models.JSONField(null=True)
    error = models.TextField(blank=True)
    requested_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "back-test"
        indexes = [
            models.Index("tenant", models.F("created_at").desc(), name="back_test_newest"),
            models.Index("tenant", "rule", models.F("created_at").desc(), name="back_test_rule"),
        ]

    def __str__(self) -> str:
        return f"{self.from_day} to {self.to_day}"
