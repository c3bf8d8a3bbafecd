"""Batches: lists for many subjects at once, cut into chunks that workers take one by one."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from decisions.models import Scenario
from tenancy.models import TenantOwned


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
