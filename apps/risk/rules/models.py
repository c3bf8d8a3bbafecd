"""The desk's rules, their history, and how often they hit."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from behavior.models import tenant_of_log
from tenancy.models import TenantOwned


class RiskAction(models.TextChoices):
    """What a hit asks for; an alert leaves the verdict to the score and the other rules."""

    APPROVE = "approve", "Approve"
    REVIEW = "review", "Review"
    DECLINE = "decline", "Decline"
    ALERT = "alert", "Alert"


class RiskRuleMode(models.TextChoices):
    DRAFT = "draft", "Draft: judges nothing"
    SHADOW = "shadow", "Shadow: its hits are counted and change no verdict"
    LIVE = "live", "Live: its hits count"


class RiskSeverity(models.TextChoices):
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"


class RiskRule(TenantOwned):
    """A condition on a transaction and what it asks for. A removed one stays, with its key and its history."""

    key = models.SlugField(max_length=50, db_index=False, help_text="How decisions name the rule; never changes.")
    name = models.CharField(max_length=200)
    description = models.TextField(max_length=2000, blank=True)
    expression = models.TextField(max_length=4000)
    action = models.CharField(max_length=10, choices=RiskAction.choices)
    severity = models.CharField(max_length=10, choices=RiskSeverity.choices, default=RiskSeverity.MEDIUM)
    priority = models.IntegerField(
        default=0,
        validators=[MinValueValidator(-1000), MaxValueValidator(1000)],
        help_text="Hits are named in this order, the highest first.",
    )
    mode = models.CharField(max_length=10, choices=RiskRuleMode.choices, default=RiskRuleMode.DRAFT)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=0, editable=False)
    created_by = models.CharField(max_length=200, editable=False)
    updated_by = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "rule"
        ordering = ["-priority", "key"]
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="risk_rule_key")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_due(self) -> bool:
        now = timezone.now()
        return (self.starts_at is None or self.starts_at <= now) and (self.ends_at is None or now < self.ends_at)


class RiskRuleChange(TenantOwned):
    """History: who did what to a rule, and what it was before and after. Append-only."""

    class Action(models.TextChoices):
        CREATED = "created", "Made"
        CHANGED = "changed", "Changed"
        PUBLISHED = "published", "Published"
        SHADOWED = "shadowed", "Put in shadow"
        UNPUBLISHED = "unpublished", "Unpublished"
        RESTORED = "restored", "Restored"
        REMOVED = "removed", "Removed"

    rule = models.ForeignKey(RiskRule, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="changes")
    version = models.PositiveIntegerField(help_text="The rule's version after the change.")
    action = models.CharField(max_length=12, choices=Action.choices)
    actor = models.CharField(max_length=200)
    before = models.JSONField(null=True)
    after = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["tenant", "rule", "version"], name="risk_rule_change_version")]

    def __str__(self) -> str:
        return f"{self.get_action_display()} by {self.actor}"


class RuleHits(models.Model):
    """How many assessments of one day (UTC) a rule or list hit, live and in shadow, counted from the decisions."""

    pk = models.CompositePrimaryKey("tenant_id", "key", "day")
    tenant = tenant_of_log()
    key = models.CharField(max_length=120, db_collation="C")
    day = models.DateField()
    live = models.BigIntegerField()
    shadow = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "rule hits"

    def __str__(self) -> str:
        return f"{self.key} {self.day}"
