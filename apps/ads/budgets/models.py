"""What a flight may spend, has promised and has spent; and the ledger of everything that was billed."""

from django.db import models
from django.db.models import F, Q

from apps.ads.campaigns.models import BidKind
from behavior.models import tenant_of_log


class FlightBudget(models.Model):
    """One row decides whether a flight may be shown: limits and counters stand side by side, in micro-units.

    `reserved_micros` is what ads that were placed are expected to cost: of CPM all that they can, of CPC and CPA the
    price times its probability. So what is spent never exceeds a limit, and what is spent and reserved may, where more
    was clicked than expected. `day` is the newest day of spending in the tenant's time zone; the daily counters are
    that day's. `carry` holds thousandths of a micro-unit that CPM prices left over.
    """

    pk = models.CompositePrimaryKey("tenant_id", "flight_id")
    tenant = tenant_of_log()
    flight_id = models.UUIDField()
    budget_micros = models.BigIntegerField()
    daily_budget_micros = models.BigIntegerField(null=True)
    reserved_micros = models.BigIntegerField(default=0)
    spent_micros = models.BigIntegerField(default=0)
    day = models.DateField(default="2000-01-01")
    day_reserved_micros = models.BigIntegerField(default=0)
    day_spent_micros = models.BigIntegerField(default=0)
    carry = models.SmallIntegerField(default=0)
    billed_events = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="flight_budget_kept",
                condition=Q(budget_micros__gte=F("spent_micros"))
                & (Q(daily_budget_micros=None) | Q(daily_budget_micros__gte=F("day_spent_micros"))),
            ),
            models.CheckConstraint(
                name="flight_budget_positive",
                condition=Q(
                    reserved_micros__gte=0,
                    spent_micros__gte=0,
                    day_reserved_micros__gte=0,
                    day_spent_micros__gte=0,
                    carry__range=(0, 999),
                ),
            ),
        ]

    def __str__(self) -> str:
        return str(self.flight_id)


class LedgerEntry(models.Model):
    """One billed event of one delivery. Append-only; a delivery is billed once at most.

    `price_micros` is what was agreed at the decision (for CPM for a thousand impressions), `amount_micros` what was
    billed, on the account of `day`.
    """

    pk = models.CompositePrimaryKey("tenant_id", "delivery_id")
    tenant = tenant_of_log()
    delivery_id = models.UUIDField()
    flight_id = models.UUIDField()
    bid_kind = models.CharField(max_length=3, choices=BidKind.choices)
    price_micros = models.BigIntegerField()
    amount_micros = models.BigIntegerField()
    day = models.DateField()
    billed_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "ledger entries"
        indexes = [models.Index(fields=["tenant", "flight_id", "billed_at"], name="ledger_flight")]

    def __str__(self) -> str:
        return f"{self.amount_micros} of {self.flight_id}"
