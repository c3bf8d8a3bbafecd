"""Experiments: two versions of a line of models that answer different conversations, to learn which does better."""

from django.db import models
from django.utils import timezone

from serving.models import ModelVersion
from tenancy.models import TenantOwned


class ExperimentOutcome(models.TextChoices):
    RUNNING = "running", "Running"
    STOPPED = "stopped", "Stopped"
    PROMOTED = "promoted", "Stopped, and a version promoted"


class Arm(models.TextChoices):
    CONTROL = "control", "Control"
    CHALLENGER = "challenger", "Challenger"


class Experiment(TenantOwned):
    """One comparison on one scenario, where one runs at a time. `share` of the conversations are answered by
    `challenger`, the others by `control`, which was live when it began; other lines of models answer as always."""

    name = models.CharField(max_length=100)
    scenario = models.SlugField(max_length=50, db_index=False)
    model = models.SlugField(max_length=50, db_index=False, help_text="the line of models")
    control = models.ForeignKey(ModelVersion, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    challenger = models.ForeignKey(
        ModelVersion, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    share = models.FloatField(default=0.5, help_text="of the conversations, for the challenger")
    outcome = models.CharField(max_length=8, choices=ExperimentOutcome.choices, default=ExperimentOutcome.RUNNING)
    promoted = models.CharField(max_length=10, choices=Arm.choices, blank=True, help_text="the arm that was promoted")
    started_at = models.DateTimeField(default=timezone.now)
    started_by = models.CharField(max_length=200)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "scenario"],
                condition=models.Q(outcome=ExperimentOutcome.RUNNING),
                name="service_experiment_one_runs",
            ),
            models.CheckConstraint(
                condition=models.Q(share__gt=0) & models.Q(share__lt=1), name="service_experiment_share"
            ),
        ]
        indexes = [models.Index(fields=["tenant", "-started_at"], name="service_experiment_newest")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_running(self) -> bool:
        return self.outcome == ExperimentOutcome.RUNNING
