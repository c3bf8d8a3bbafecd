"""Who advertises what, where, for how much, and the history of all of it."""

from datetime import UTC, datetime
from uuid import UUID

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from behavior.models import tenant_of_log
from tenancy.models import TenantOwned

# Money is whole millionths of a currency unit.
MICROS = 1_000_000
HIGHEST_BID = 10_000 * MICROS
HIGHEST_BUDGET = 1_000_000_000 * MICROS
LARGEST_SIDE = 10_000  # pixels
LONGEST_URL = 1000
# Of a flight; beyond the years 1 and 9999, which clocks of other zones would show, nothing can be reckoned.
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)


def _whole(least: int, most: int) -> list[MinValueValidator | MaxValueValidator]:
    return [MinValueValidator(least), MaxValueValidator(most)]


class AdObject(TenantOwned):
    """What has a name and a history. An archived one stays, with its history, and serves nothing."""

    name = models.CharField(max_length=200)
    version = models.PositiveIntegerField(default=0, editable=False)
    created_by = models.CharField(max_length=200, editable=False)
    updated_by = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class Advertiser(AdObject):
    """`own_networks` are where its own people sit, such as 203.0.113.0/24: what they do counts for nothing."""

    currency = models.CharField(
        max_length=3, help_text="ISO 4217; all bids and budgets are in it, and it never changes."
    )
    own_networks = models.JSONField(default=list, db_default=[], blank=True)

    class Meta:
        ordering = ["name"]
        indexes = [models.Index(fields=["tenant", "name"], name="advertiser_name")]


class Campaign(AdObject):
    advertiser = models.ForeignKey(
        Advertiser, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="campaigns"
    )

    class Meta:
        ordering = ["name"]
        indexes = [models.Index(fields=["tenant", "advertiser"], name="campaign_advertiser")]


class FlightStatus(models.TextChoices):
    DRAFT = "draft", "Draft"
    LIVE = "live", "Live"
    PAUSED = "paused", "Paused"


class BidKind(models.TextChoices):
    """What is paid for."""

    CPM = "cpm", "CPM: a thousand impressions"
    CPC = "cpc", "CPC: a click"
    CPA = "cpa", "CPA: a conversion"


class PacingKind(models.TextChoices):
    ASAP = "asap", "As soon as possible"
    ADAPTIVE = "adaptive", "Adaptive: shades the bid"
    PID = "pid", "PID: takes part in a share of the auctions"


class GoalKind(models.TextChoices):
    NONE = "none", "None"
    IMPRESSIONS = "impressions", "Impressions"
    CLICKS = "clicks", "Clicks"
    CONVERSIONS = "conversions", "Conversions"


class Flight(AdObject):
    """A stretch of a campaign with its dates, bid, budgets and targeting. Live ones compete for placements.

    `budget_micros` is for all its days, `daily_budget_micros` for each; neither is ever exceeded. At most
    `cap_impressions` of it are placed before one subject in `cap_hours`, at least `recency_seconds` apart.
    """

    campaign = models.ForeignKey(
        Campaign, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="flights"
    )
    status = models.CharField(max_length=6, choices=FlightStatus.choices, default=FlightStatus.DRAFT, editable=False)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    bid_kind = models.CharField(max_length=3, choices=BidKind.choices)
    bid_micros = models.BigIntegerField(validators=_whole(1, HIGHEST_BID))
    budget_micros = models.BigIntegerField(validators=_whole(1, HIGHEST_BUDGET))
    daily_budget_micros = models.BigIntegerField(null=True, blank=True, validators=_whole(1, HIGHEST_BUDGET))
    pacing = models.CharField(max_length=8, choices=PacingKind.choices, default=PacingKind.ADAPTIVE)
    goal_kind = models.CharField(max_length=11, choices=GoalKind.choices, default=GoalKind.NONE)
    goal = models.BigIntegerField(null=True, blank=True, validators=_whole(1, 10**12))
    targeting = models.JSONField(default=dict, blank=True)
    conversion_event = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(r"^[a-z][a-z0-9_.-]*\Z", "must be an event type, such as sign_up")],
        help_text="Event of the log that is a conversion, such as sign_up. Empty: a purchase.",
    )
    cap_impressions = models.PositiveIntegerField(null=True, blank=True, validators=_whole(1, 1000))
    cap_hours = models.PositiveIntegerField(default=24, validators=_whole(1, 720))
    recency_seconds = models.PositiveIntegerField(default=0, validators=_whole(0, 30 * 86400))
    post_click_days = models.PositiveSmallIntegerField(default=7, validators=_whole(1, 30))
    post_view_hours = models.PositiveSmallIntegerField(default=0, validators=_whole(0, 168))

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(fields=["tenant", "campaign"], name="flight_campaign"),
            models.Index(fields=["tenant", "status", "ends_at"], name="flight_status"),
        ]


class ReviewStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"


class Creative(AdObject):
    """What is shown. A change of what the reader sees or where a click leads needs a new review."""

    flight = models.ForeignKey(Flight, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="creatives")
    width = models.PositiveIntegerField(validators=_whole(1, LARGEST_SIDE))
    height = models.PositiveIntegerField(validators=_whole(1, LARGEST_SIDE))
    text = models.CharField(max_length=1000, blank=True)
    image_url = models.CharField(max_length=LONGEST_URL, blank=True)
    click_url = models.CharField(max_length=LONGEST_URL)
    quality = models.FloatField(default=1.0, validators=[MinValueValidator(0.1), MaxValueValidator(10.0)])
    review = models.CharField(max_length=8, choices=ReviewStatus.choices, default=ReviewStatus.PENDING, editable=False)
    review_note = models.CharField(max_length=500, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(fields=["tenant", "flight"], name="creative_flight"),
            models.Index(fields=["tenant", "review"], name="creative_review"),
        ]


class AuctionKind(models.TextChoices):
    """How the price is found; with `second_price` and `gsp` nobody pays more than it takes to win."""

    FIRST_PRICE = "first_price", "First price: the winner pays its bid"
    SECOND_PRICE = "second_price", "Second price: the highest value wins"
    GSP = "gsp", "Generalised second price: value and quality win"


class Placement(AdObject):
    """A place on the client's pages. What is worth less than the floor per thousand impressions stays out."""

    key = models.SlugField(max_length=50, db_index=False, help_text="What decisions name it by; never changes.")
    width = models.PositiveIntegerField(validators=_whole(1, LARGEST_SIDE))
    height = models.PositiveIntegerField(validators=_whole(1, LARGEST_SIDE))
    currency = models.CharField(max_length=3, help_text="ISO 4217; advertisers with it compete here. Never changes.")
    floor_micros = models.BigIntegerField(default=0, validators=_whole(0, HIGHEST_BID))
    auction = models.CharField(max_length=12, choices=AuctionKind.choices, default=AuctionKind.GSP)

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["tenant", "key"], name="placement_key")]


class ObjectKind(models.TextChoices):
    ADVERTISER = "advertiser", "Advertiser"
    CAMPAIGN = "campaign", "Campaign"
    FLIGHT = "flight", "Flight"
    CREATIVE = "creative", "Creative"
    PLACEMENT = "placement", "Placement"
    EXPERIMENT = "experiment", "Experiment"
    AUDIENCE = "audience", "Audience"
    BUSINESS = "business", "Business"


# What stands for the business itself in the history.
BUSINESS = UUID(int=0)


class AdChange(TenantOwned):
    """History: who did what to an object, and what it was before and after. Append-only."""

    class Action(models.TextChoices):
        CREATED = "created", "Made"
        CHANGED = "changed", "Changed"
        STARTED = "started", "Put live"
        PAUSED = "paused", "Paused"
        APPROVED = "approved", "Approved"
        REJECTED = "rejected", "Rejected"
        ARCHIVED = "archived", "Archived"
        PEOPLE = "people", "Own people replaced"
        SEED = "seed", "Seed replaced"

    kind = models.CharField(max_length=10, choices=ObjectKind.choices)
    object_id = models.UUIDField()
    version = models.PositiveIntegerField(help_text="The object's version after the change.")
    action = models.CharField(max_length=10, choices=Action.choices)
    actor = models.CharField(max_length=200)
    person = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="The member behind an API key."
    )
    before = models.JSONField(null=True)
    after = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["tenant", "object_id", "version"], name="ad_change_version")]

    def __str__(self) -> str:
        return f"{self.get_action_display()} by {self.actor}"


class SnapshotVersion(models.Model):
    """Grows with every change that decisions must hear of, so that a process asks one row and not every table."""

    pk = models.CompositePrimaryKey("tenant_id", "name")
    tenant = tenant_of_log()
    name = models.CharField(max_length=20, default="snapshot")
    version = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.version)
