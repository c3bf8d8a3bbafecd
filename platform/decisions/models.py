"""Scenarios, and every answer that the suite gave."""

from django.db import models
from django.utils import timezone
from uuid_utils.compat import uuid7

from behavior.models import tenant_of_log
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


class ScenarioChange(TenantOwned):
    """One change of a scenario: who made it, when, and how the scenario stood before and after. Append-only.

    A state holds {name, model, settings, is_active}; `before` is null where the change made the scenario.
    """

    class Action(models.TextChoices):
        CREATED = "created", "Made"
        CHANGED = "changed", "Changed"
        UNDONE = "undone", "Undone"

    scenario = models.SlugField(max_length=50, db_index=False, help_text="Key of the scenario.")
    action = models.CharField(max_length=10, choices=Action.choices)
    actor = models.CharField(max_length=150)
    before = models.JSONField(null=True)
    after = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index("tenant", "scenario", models.F("created_at").desc(), name="scenario_change_newest")]

    def __str__(self) -> str:
        return f"{self.scenario}: {self.get_action_display()}"


class ListCount(models.Model):
    """Lists that a scenario gave on one day (UTC), by how long they took: what its KPI are read from.

    `latency_bucket` counts from 0 on a logarithmic scale; see decisions.kpi.
    """

    pk = models.CompositePrimaryKey("tenant_id", "scenario", "day", "latency_bucket")
    tenant = tenant_of_log()
    scenario = models.CharField(max_length=50, db_collation="C")
    day = models.DateField()
    latency_bucket = models.SmallIntegerField()
    lists = models.BigIntegerField()
    items = models.BigIntegerField(help_text="items in these lists")
    degraded = models.BigIntegerField(help_text="lists that something stood in for")

    def __str__(self) -> str:
        return f"{self.scenario} {self.day}"


class ShownItem(models.Model):
    """How many lists of a scenario held an item on one day (UTC)."""

    pk = models.CompositePrimaryKey("tenant_id", "scenario", "day", "item_id")
    tenant = tenant_of_log()
    scenario = models.CharField(max_length=50, db_collation="C")
    day = models.DateField()
    item_id = models.CharField(max_length=200, db_collation="C")
    lists = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.scenario} {self.day} {self.item_id}"


class ListOutcome(models.Model):
    """What came of one list, from the events that name its decision; a list of which nothing came has no row.

    Counts are items of the list, each once, however often the event came.
    """

    pk = models.CompositePrimaryKey("tenant_id", "decision_id")
    tenant = tenant_of_log()
    decision_id = models.UUIDField()
    scenario = models.CharField(max_length=50, db_collation="C")
    decided_at = models.DateTimeField()
    seen = models.SmallIntegerField(help_text="items with an impression")
    clicked = models.SmallIntegerField()
    carted = models.SmallIntegerField()
    bought = models.SmallIntegerField()
    revenue = models.FloatField(help_text="sum of the purchases in `currency`")
    currency = models.CharField(max_length=3, null=True, help_text="of the first purchase")

    class Meta:
        indexes = [models.Index(fields=["tenant", "scenario", "decided_at"], name="list_outcome_scenario")]

    def __str__(self) -> str:
        return str(self.decision_id)
