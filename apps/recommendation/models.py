"""Operators' rules and their history; what is learnt of purchases off the request's path: which items go together, and
how soon they are bought again; batches: lists for many subjects at once, cut into chunks that workers take one by one.
"""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from behavior.models import tenant_of_log
from decisions.models import Scenario
from decisions.operator_rules import OperatorRule, OperatorRuleChange
from tenancy.models import TenantOwned


class RuleKind(models.TextChoices):
    PIN = "pin", "Pin: put the best item of the target at a place"
    BOOST = "boost", "Boost: raise the target's scores"
    BURY = "bury", "Bury: lower the target's scores"
    HIDE = "hide", "Hide: never show the target"
    FILTER = "filter", "Filter: show nothing but the target"
    CAP = "cap", "Cap: at most so many of one category or brand"
    PROMOTE = "promote", "Promote: give the target a share of the places"


class RuleStatus(models.TextChoices):
    DRAFT = "draft", "Draft"
    SCHEDULED = "scheduled", "Scheduled"
    LIVE = "live", "Live"
    ENDED = "ended", "Ended"
    REMOVED = "removed", "Removed"


class Rule(OperatorRule):
    """What an operator wants of the lists of some scenarios."""

    kind = models.CharField(max_length=10, choices=RuleKind.choices)
    scenarios = ArrayField(
        models.SlugField(max_length=50), default=list, blank=True, help_text="Keys of scenarios; none means all."
    )
    target = models.JSONField(null=True, blank=True, help_text="A filter expression: the items that the rule is about.")
    values = models.JSONField(default=dict, blank=True, help_text="What the kind needs, such as a pin's position.")
    condition = models.JSONField(default=dict, blank=True, help_text="What a request must say; {} means any request.")
    priority = models.IntegerField(
        default=0,
        validators=[MinValueValidator(-1000), MaxValueValidator(1000)],
        help_text="Of two rules that want the same place the higher one wins.",
    )
    notes = models.TextField(max_length=2000, blank=True)
    is_active = models.BooleanField(default=False, help_text="Published; a draft touches no list.")

    class Meta:
        ordering = ["-priority", "key"]
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="rule_key")]

    @property
    def status(self) -> RuleStatus:
        now = timezone.now()
        if self.removed_at:
            return RuleStatus.REMOVED
        if not self.is_active:
            return RuleStatus.DRAFT
        if self.ends_at and self.ends_at <= now:
            return RuleStatus.ENDED
        return RuleStatus.SCHEDULED if self.starts_at and self.starts_at > now else RuleStatus.LIVE


class RuleAction(models.TextChoices):
    CREATED = "created", "Created"
    CHANGED = "changed", "Changed"
    PUBLISHED = "published", "Published"
    UNPUBLISHED = "unpublished", "Unpublished"
    RESTORED = "restored", "Restored"
    REMOVED = "removed", "Removed"


class RuleChange(OperatorRuleChange):
    rule = models.ForeignKey(Rule, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="changes")
    action = models.CharField(max_length=12, choices=RuleAction.choices)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["tenant", "rule", "version"], name="rule_change_version")]

    def __str__(self) -> str:
        return f"{self.get_action_display()} by {self.actor}"


class Within(models.TextChoices):
    """What makes two purchases a pair."""

    BASKET = "basket", "one session, or one subject's day"
    SUBJECT = "subject", "one subject"


class ItemPair(models.Model):
    """How often `other_id` was bought besides `item_id`. Made anew by `refresh_purchase_habits`.

    together      baskets (or subjects) that hold both
    confidence    share of those with `item_id` that hold `other_id`, shrunk to the share of all that hold it
    added_value   confidence less the share of all that hold `other_id`: what `item_id` adds to its chance
    """

    pk = models.CompositePrimaryKey("tenant_id", "within", "item_id", "other_id")
    tenant = tenant_of_log()
    within = models.CharField(max_length=10, choices=Within.choices)
    item_id = models.CharField(max_length=200, db_collation="C")
    other_id = models.CharField(max_length=200, db_collation="C")
    together = models.BigIntegerField()
    confidence = models.FloatField()
    added_value = models.FloatField()

    def __str__(self) -> str:
        return f"{self.item_id} and {self.other_id}"


class RepurchaseInterval(models.Model):
    """After how many days an item, or an item of a category, is usually bought again by the same subject: the median
    of `gaps` gaps. Made anew by `refresh_purchase_habits`."""

    class Of(models.TextChoices):
        ITEM = "item"
        CATEGORY = "category"

    pk = models.CompositePrimaryKey("tenant_id", "of", "name")
    tenant = tenant_of_log()
    of = models.CharField(max_length=10, choices=Of.choices)
    name = models.CharField(max_length=200, db_collation="C")
    days = models.FloatField()
    gaps = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.name}: {self.days:g} days"


class BatchStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE_BATCHES = (BatchStatus.QUEUED, BatchStatus.RUNNING)


class BatchFormat(models.TextChoices):
    PARQUET = "parquet", "Parquet"
    CSV = "csv", "CSV"


class Batch(TenantOwned):
    """Lists of one scenario for many subjects, exported as one file.

    `subject_keys` are those asked for, null for everybody. While it runs, its progress is the sum over its chunks; at
    its end the sums come into the columns here, and the chunks go. `file_bytes` is null where there is no file.
    """

    scenario = models.SlugField(max_length=50, db_index=False)
    count = models.PositiveSmallIntegerField(default=12, help_text="Items in each list, 1 to 100.")
    filter = models.JSONField(null=True, blank=True)
    params = models.JSONField(default=dict, blank=True)
    format = models.CharField(max_length=10, choices=BatchFormat.choices, default=BatchFormat.PARQUET)
    subject_keys = ArrayField(models.BinaryField(), null=True, blank=True, editable=False)
    status = models.CharField(max_length=10, choices=BatchStatus.choices, default=BatchStatus.QUEUED)
    total = models.PositiveIntegerField(default=0)
    lists = models.PositiveIntegerField(default=0)
    rows = models.PositiveBigIntegerField(default=0)
    empty = models.PositiveIntegerField(default=0)
    left_out = models.PositiveIntegerField(default=0)
    degraded = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    errors = models.JSONField(default=list, blank=True)
    file_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    requested_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    announced_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "batches"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "scenario"],
                condition=models.Q(status__in=ACTIVE_BATCHES),
                name="batch_one_active",
            )
        ]
        indexes = [models.Index(fields=["tenant", "-created_at"], name="batch_created")]
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.scenario}, {self.created_at:%Y-%m-%d %H:%M}"


class ChunkStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"


UNFINISHED_CHUNKS = (ChunkStatus.QUEUED, ChunkStatus.RUNNING)


class BatchChunk(TenantOwned):
    """Some of a batch's subjects. A worker holds it by a lease; what it makes counts only while it still does."""

    batch = models.ForeignKey(Batch, models.CASCADE, db_constraint=False, db_index=False, related_name="chunks")
    number = models.PositiveIntegerField()
    subject_keys = ArrayField(models.BinaryField())
    subjects = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=ChunkStatus.choices, default=ChunkStatus.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_owner = models.UUIDField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    lists = models.PositiveIntegerField(default=0)
    rows = models.PositiveIntegerField(default=0)
    empty = models.PositiveIntegerField(default=0)
    left_out = models.PositiveIntegerField(default=0)
    degraded = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "batch", "number"], name="batch_chunk_number")]
        indexes = [models.Index(fields=["tenant", "batch", "status", "number"], name="batch_chunk_next")]
        ordering = ["number"]

    def __str__(self) -> str:
        return f"chunk {self.number}"


class ScenarioData(Scenario):
    """A scenario as the page of data sufficiency shows it."""

    class Meta:
        proxy = True
        verbose_name = "scenario's data"
        verbose_name_plural = "data sufficiency"

    def __str__(self) -> str:
        return self.name
