"""What became of each ad that was placed, and the traffic that counts for nothing."""

from django.db import models
from django.db.models import Q

from apps.ads.campaigns.models import Advertiser, BidKind
from behavior.models import Consent, tenant_of_log
from tenancy.models import TenantOwned


class DeliveryStatus(models.TextChoices):
    OPEN = "open", "Open: what it is expected to cost is reserved"
    BILLED = "billed", "Billed"
    RETURNED = "returned", "Returned: what was reserved went back into the budget"


class Delivery(models.Model):
    """One ad that a decision placed: what was promised, and when it was seen, clicked and paid for.

    Its token may be used until `expires_at`, once for each kind of event.
    """

    pk = models.CompositePrimaryKey("tenant_id", "delivery_id")
    tenant = tenant_of_log()
    delivery_id = models.UUIDField(help_text="of the decision that placed it")
    flight_id = models.UUIDField()
    creative_id = models.UUIDField()
    placement_id = models.UUIDField()
    subject_key = models.BinaryField(null=True)
    bid_kind = models.CharField(max_length=3, choices=BidKind.choices)
    price_micros = models.BigIntegerField()
    reserved_micros = models.BigIntegerField()
    day = models.DateField()
    status = models.CharField(max_length=8, choices=DeliveryStatus.choices, default=DeliveryStatus.OPEN)
    click_url = models.TextField()
    post_click_days = models.SmallIntegerField()
    post_view_hours = models.SmallIntegerField()
    placed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    impression_at = models.DateTimeField(null=True)
    viewable_at = models.DateTimeField(null=True)
    clicked_at = models.DateTimeField(null=True)
    converted_at = models.DateTimeField(null=True)
    conversions = models.IntegerField(default=0)
    revenue_micros = models.BigIntegerField(default=0)
    # Normalised, as targeting compares them; empty where the request said nothing.
    country = models.CharField(max_length=100, default="", db_default="")
    device = models.CharField(max_length=10, default="", db_default="")
    consent = models.SmallIntegerField(
        default=Consent.PERSONALISATION, db_default=Consent.PERSONALISATION, help_text="of the subject, as bits"
    )
    to_log = models.SmallIntegerField(
        default=0, db_default=0, help_text="events that the behaviour log does not hold yet, as bits of TO_LOG"
    )

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index("tenant", "subject_key", models.F("placed_at").desc(), name="delivery_subject"),
            models.Index(fields=["tenant", "flight_id", "placed_at"], name="delivery_flight"),
            models.Index(fields=["tenant", "placed_at"], name="delivery_placed"),
            models.Index(fields=["tenant", "expires_at"], name="delivery_open", condition=Q(status="open")),
            models.Index(fields=["tenant", "delivery_id"], name="delivery_to_log", condition=Q(to_log__gt=0)),
            models.Index(
                fields=["tenant", "flight_id"],
                name="delivery_unpaid",
                condition=Q(status="open", bid_kind="cpa", converted_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return str(self.delivery_id)


class EventKind(models.TextChoices):
    IMPRESSION = "impression", "Impression"
    VIEWABLE = "viewable", "Viewable"
    CLICK = "click", "Click"


# No browser reports these, and they may be left unbilled as clicks may.
CONVERSION = "conversion"
# Kinds that join the behaviour log, as bits of `Delivery.to_log`.
TO_LOG = {EventKind.IMPRESSION: 1, EventKind.VIEWABLE: 0, EventKind.CLICK: 2}


class FilteredEvent(models.Model):
    """Traffic that counts for nothing, by delivery, kind, reason and hour; repeats are counted and not stored anew. Of
    the reason `unpaid` it counts and was not billed."""

    pk = models.CompositePrimaryKey("tenant_id", "delivery_id", "kind", "reason", "hour")
    tenant = tenant_of_log()
    delivery_id = models.UUIDField()
    kind = models.CharField(max_length=10, choices=[*EventKind.choices, (CONVERSION, "Conversion")])
    reason = models.CharField(max_length=20)
    flight_id = models.UUIDField()
    count = models.BigIntegerField(default=1)
    hour = models.DateTimeField(help_text="its beginning, of UTC")

    class Meta:
        indexes = [models.Index(fields=["tenant", "hour"], name="filtered_event_hour")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


class OwnSubject(TenantOwned):
    """One of an advertiser's own people, or of the business where no advertiser is named. Whoever is taken out of the
    vault is taken out of here by the database."""

    advertiser = models.ForeignKey(
        Advertiser, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="own_subjects"
    )
    subject_key = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "subject_key", "advertiser"], nulls_distinct=False, name="own_subject_once"
            )
        ]
        indexes = [models.Index(fields=["tenant", "advertiser"], name="own_subject_advertiser")]

    def __str__(self) -> str:
        return str(self.advertiser_id or "the business")


class AttributedConversion(models.Model):
    """An event of the log that counted for a delivery; each event counts once."""

    pk = models.CompositePrimaryKey("tenant_id", "event_id")
    tenant = tenant_of_log()
    event_id = models.UUIDField()
    delivery_id = models.UUIDField()
    flight_id = models.UUIDField()
    touch = models.CharField(max_length=5, choices=[("click", "Click"), ("view", "View")])
    value_micros = models.BigIntegerField()
    occurred_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "flight_id", "occurred_at"], name="conversion_flight")]

    def __str__(self) -> str:
        return str(self.event_id)


class CreativeCount(models.Model):
    """How often a creative was seen and clicked at a placement in the newest weeks; what its rates are learnt from."""

    pk = models.CompositePrimaryKey("tenant_id", "creative_id", "placement_id")
    tenant = tenant_of_log()
    creative_id = models.UUIDField()
    placement_id = models.UUIDField()
    impressions = models.BigIntegerField()
    clicks = models.BigIntegerField()
    conversions = models.BigIntegerField()

    def __str__(self) -> str:
        return str(self.creative_id)
