"""Pages of the console that have no rows of their own."""

from apps.ads.campaigns.models import Campaign, Flight
from decisions.models import Decision


class AdReport(Campaign):
    """Delivery and spend, as the console's page of reports shows it."""

    class Meta:
        proxy = True
        verbose_name = "report"
        verbose_name_plural = "reports"


class Reconciliation(Flight):
    """The ledger beside the counters, as the console's page shows it."""

    class Meta:
        proxy = True
        verbose_name = "ledger"
        verbose_name_plural = "ledger"


class AdDecision(Decision):
    """A decision about one placement, with its auction."""

    class Meta:
        proxy = True
        verbose_name = "auction"
        verbose_name_plural = "auctions"
