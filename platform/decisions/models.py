"""Scenarios, and every answer that the suite gave."""

from django.db import models
from django.utils import timezone
from uuid_utils.compat import uuid7

from tenancy.models import Tenant, TenantOwned
from tenancy.scope import current_tenant_id


class Scenario(TenantOwned):
    """A named place where an application answers: which kind of answer, from which line of models, how."""

    key = models.SlugField(max_length=50, db_index=False, help_text="What clients name in their calls.")
    name = models.CharField(max_length=200)
    application = models.SlugField(max_length=30, db_index=False)
    kind = models.SlugField(max_length=30, db_index=False)
    model = models.SlugField(
        max_length=50,
        db_index=False,
        blank=True,
        help_text="Line of models that answers, such as next-item; empty where none does.",
    )
    settings = models.JSONField(default=dict, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="scenario_key")]
        ordering = ["application", "key"]

    def __str__(self) -> str:
        return self.name


class Decision(models.Model):
    """One answer with all that stood behind it. Append-only; partitioned by month of `decided_at`.

    `items` holds {id, rank, score, propensity, reasons, rules, parts?} in the order that was served. A propensity is
    the probability of this item at this rank, given the items above it, under `policy`.
    """

    decision_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(
        Tenant,
        models.DO_NOTHING,
        default=current_tenant_id,
        editable=False,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    decided_at = models.DateTimeField(default=timezone.now)
    application = models.CharField(max_length=30)
    scenario = models.CharField(max_length=50)
    subject_key = models.BinaryField(null=True)
    session_key = models.TextField(null=True)
    model_version = models.UUIDField(null=True)
    policy = models.TextField()
    variant = models.TextField(null=True)
    degraded = models.TextField(null=True)
    request = models.JSONField(default=dict)
    items = models.JSONField(default=list)
    latency_ms = models.FloatField()

    class Meta:
        # The key is (tenant, decision_id, decided_at) and ids grow with time, so it also serves lists by time.
        indexes = [models.Index(fields=["tenant", "subject_key", "-decided_at"], name="decision_subject")]
        ordering = ["-decision_id"]

    def __str__(self) -> str:
        return str(self.decision_id)
