"""Training runs, the immutable versions that they make, and which version of each line of models is live.

A line of models is named by a slug ("next-item"); a tenant may have several of one task.
"""

from django.db import models
from django.utils import timezone

from tenancy.models import TenantOwned


class RunStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE_STATUSES = (RunStatus.QUEUED, RunStatus.RUNNING)


class TrainingRun(TenantOwned):
    """One training job. A worker holds it by a lease, until `lease_expires_at`, and renews the lease while it works."""

    model = models.SlugField(max_length=50, db_index=False)
    task = models.SlugField(max_length=30, db_index=False)
    config = models.JSONField(default=dict, blank=True)
    auto_promote = models.BooleanField(default=True)
    warm_start = models.BooleanField(
        default=False, db_default=False, help_text="Go on from the weights of the live version, where there is one."
    )
    status = models.CharField(max_length=10, choices=RunStatus.choices, default=RunStatus.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_owner = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    progress = models.JSONField(default=dict, blank=True)
    curve = models.JSONField(default=list, blank=True)
    report = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    snapshot = models.CharField(max_length=300, blank=True, help_text="Folder of the training data under SNAPSHOTS.")
    requested_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "model"],
                condition=models.Q(status__in=ACTIVE_STATUSES),
                name="training_run_one_active",
            )
        ]
        indexes = [models.Index(fields=["tenant", "-created_at"], name="training_run_created")]
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.model}, {self.created_at:%Y-%m-%d %H:%M}"


class VersionStatus(models.TextChoices):
    CANDIDATE = "candidate", "Candidate"
    LIVE = "live", "Live"
    RETIRED = "retired", "Retired"
    REFUSED = "refused", "Refused"


class ModelVersion(TenantOwned):
    """What one run made. Only its status ever changes, and whether its files are there; `reasons` is the gate's verdict
    in words."""

    model = models.SlugField(max_length=50, db_index=False)
    number = models.PositiveIntegerField()
    task = models.SlugField(max_length=30, db_index=False)
    run = models.ForeignKey(
        TrainingRun, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="versions"
    )
    artifact = models.CharField(max_length=300, help_text="Folder under ARTIFACTS; its first part is the tenant.")
    artifact_sha256 = models.CharField(max_length=64)
    metrics = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=VersionStatus.choices, default=VersionStatus.CANDIDATE)
    reasons = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    files_deleted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "model", "number"], name="model_version_number"),
            models.UniqueConstraint(fields=["tenant", "run"], name="model_version_run"),
        ]
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.model} {self.number}"


class Deployment(TenantOwned):
    """Which version of a line answers, and which one answered before it."""

    model = models.SlugField(max_length=50, db_index=False)
    live_version = models.ForeignKey(
        ModelVersion, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    previous_version = models.ForeignKey(
        ModelVersion, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", null=True
    )
    promoted_at = models.DateTimeField()
    promoted_by = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "model"], name="deployment_model")]

    def __str__(self) -> str:
        return self.model


class DeploymentAction(models.TextChoices):
    PROMOTE = "promote", "Promoted"
    ROLL_BACK = "rollback", "Rolled back"


class DeploymentEvent(TenantOwned):
    """History: who made which version live, and on what grounds. Append-only."""

    model = models.SlugField(max_length=50, db_index=False)
    action = models.CharField(max_length=10, choices=DeploymentAction.choices)
    actor = models.CharField(max_length=200)
    from_version = models.ForeignKey(
        ModelVersion, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", null=True
    )
    to_version = models.ForeignKey(
        ModelVersion, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    reasons = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "model", "-created_at"], name="deployment_event_created")]
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.to_version_id}"
