"""Where the pacing of each flight stands, and how it got there."""

from django.db import models

from behavior.models import tenant_of_log


class FlightPacing(models.Model):
    """The controller of one flight. Bids are multiplied by `bid_factor`; the flight takes part in `pass_rate` of the
    auctions. `dual` is the adaptive controller's multiplier, `integral` and `error` are the PID's memory.

    Of the ads that were placed before `counted_to` none can be seen or clicked any more: so many `impressions` and
    `clicks` they had."""

    pk = models.CompositePrimaryKey("tenant_id", "flight_id")
    tenant = tenant_of_log()
    flight_id = models.UUIDField()
    bid_factor = models.FloatField(default=1.0)
    pass_rate = models.FloatField(default=1.0)
    dual = models.FloatField(default=0.0)
    integral = models.FloatField(default=0.0)
    error = models.FloatField(default=0.0)
    spent_micros = models.BigIntegerField(default=0, help_text="at the last step")
    stepped_at = models.DateTimeField()
    counted_to = models.DateTimeField(null=True)
    impressions = models.BigIntegerField(default=0, db_default=0)
    clicks = models.BigIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return str(self.flight_id)


class PacingStep(models.Model):
    """One step of a controller: what the flight was to have spent by then, what it had spent, what followed."""

    pk = models.CompositePrimaryKey("tenant_id", "flight_id", "stepped_at")
    tenant = tenant_of_log()
    flight_id = models.UUIDField()
    stepped_at = models.DateTimeField()
    planned_micros = models.BigIntegerField()
    spent_micros = models.BigIntegerField()
    make_good_micros = models.BigIntegerField(help_text="by how much it was behind the plan of all its days")
    bid_factor = models.FloatField()
    pass_rate = models.FloatField()

    def __str__(self) -> str:
        return f"{self.flight_id} at {self.stepped_at}"
