"""Lookalike audiences: subjects who are like a seed, found by what they did."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps.ads.campaigns.models import AdObject
from behavior.models import tenant_of_log
from tenancy.models import TenantOwned

LEAST_SHARE, MOST_SHARE = 0.001, 0.5


class SeedKind(models.TextChoices):
    EVENT = "event", "Who caused an event, such as the conversion of a flight"
    LIST = "list", "A list of subjects"


class Refresh(models.TextChoices):
    OFF = "off", "Only when asked"
    DAILY = "daily", "Daily"
    WEEKLY = "weekly", "Weekly"


class Audience(AdObject):
    """The `share` of all subjects who are most like the seed; the seed itself is left out unless `include_seed`.

    The seed is who caused `seed_event` in the last `seed_days`, for `seed_flight_id` alone where one is named (then the
    event is ad_impression, ad_click or ad_conversion), or the subjects of a list.
    """

    key = models.SlugField(max_length=50, db_index=False, help_text="What targeting names it by; never changes.")
    seed_kind = models.CharField(max_length=5, choices=SeedKind.choices)
    seed_event = models.CharField(max_length=64, blank=True)
    seed_flight_id = models.UUIDField(null=True, blank=True)
    seed_days = models.PositiveSmallIntegerField(default=90, validators=[MinValueValidator(1), MaxValueValidator(365)])
    share = models.FloatField(default=0.05, validators=[MinValueValidator(LEAST_SHARE), MaxValueValidator(MOST_SHARE)])
    include_seed = models.BooleanField(default=False)
    refresh = models.CharField(max_length=6, choices=Refresh.choices, default=Refresh.WEEKLY)

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="audience_key")]


class BuildStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"


UNDER_WAY = (BuildStatus.QUEUED, BuildStatus.RUNNING)


class AudienceBuild(TenantOwned):
    """One time that an audience's members were found. `report` is what a build says of itself: see BuildReport."""

    audience = models.ForeignKey(
        Audience, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="builds"
    )
    status = models.CharField(max_length=9, choices=BuildStatus.choices, default=BuildStatus.QUEUED)
    report = models.JSONField(null=True)
    error = models.TextField(blank=True)
    requested_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "audience"], condition=Q(status__in=UNDER_WAY), name="audience_build_one_active"
            )
        ]
        indexes = [
            models.Index("tenant", "audience", models.F("created_at").desc(), name="audience_build_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M}"


class AudienceMember(models.Model):
    """A subject of an audience. Whoever is taken out of the vault is taken out of here by the database."""

    pk = models.CompositePrimaryKey("tenant_id", "subject_key", "audience_id")
    tenant = tenant_of_log()
    subject_key = models.BinaryField()
    audience_id = models.UUIDField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "audience_id"], name="audience_member_audience")]

    def __str__(self) -> str:
        return str(self.audience_id)


class AudienceSeed(models.Model):
    """A subject of the list that an audience starts from; of the vault as members are."""

    pk = models.CompositePrimaryKey("tenant_id", "audience_id", "subject_key")
    tenant = tenant_of_log()
    audience_id = models.UUIDField()
    subject_key = models.BinaryField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "subject_key"], name="audience_seed_subject")]

    def __str__(self) -> str:
        return str(self.audience_id)
