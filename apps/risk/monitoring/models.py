"""What a challenger would have said, and the page on which the desk watches over all."""

from django.db import models
from django.utils import timezone

from behavior.models import tenant_of_log
from decisions.models import Scenario


class ShadowScore(models.Model):
    """The score that a version which is not live gave to an assessment, after its answer had gone out."""

    pk = models.CompositePrimaryKey("tenant_id", "version", "decision_id")
    tenant = tenant_of_log()
    version = models.UUIDField(help_text="id of the model version that was asked")
    decision_id = models.UUIDField()
    score = models.FloatField()
    asked_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.version} on {self.decision_id}"


class Monitoring(Scenario):
    """The scenario of the risk desk as the page of monitoring shows it."""

    class Meta:
        proxy = True
        verbose_name = "monitoring"
        verbose_name_plural = "monitoring"

    def __str__(self) -> str:
        return self.name
