"""The desk's rules, their history, and how often they hit."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from behavior.models import tenant_of_log
from decisions.operator_rules import OperatorRule, OperatorRuleChange


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


class RiskRule(OperatorRule):
    """A condition on a transaction and what it asks for."""

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

    class Meta:
        verbose_name = "rule"
        ordering = ["-priority", "key"]
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="risk_rule_key")]

    @property
    def is_due(self) -> bool:
        now = timezone.now()
        return (self.starts_at is None or self.starts_at <= now) and (self.ends_at is None or now < self.ends_at)


class RiskRuleChange(OperatorRuleChange):
    class Action(models.TextChoices):
        CREATED = "created", "Made"
        CHANGED = "changed", "Changed"
        PUBLISHED = "published", "Published"
        SHADOWED = "shadowed", "Put in shadow"
        UNPUBLISHED = "unpublished", "Unpublished"
        RESTORED = "restored", "Restored"
        REMOVED = "removed", "Removed"

    rule = models.ForeignKey(RiskRule, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="changes")
    action = models.CharField(max_length=12, choices=Action.choices)

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
