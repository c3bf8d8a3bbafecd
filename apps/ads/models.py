"""All tables of the application; each topic keeps its own."""

from apps.ads.audiences.models import Audience, AudienceBuild, AudienceMember, AudienceSeed
from apps.ads.budgets.models import FlightBudget, LedgerEntry
from apps.ads.campaigns.models import AdChange, Advertiser, Campaign, Creative, Flight, Placement, SnapshotVersion
from apps.ads.experiments.models import Experiment
from apps.ads.pacing.models import FlightPacing, PacingStep
from apps.ads.reports.models import AdDecision, AdReport, Reconciliation
from apps.ads.tracking.models import AttributedConversion, CreativeCount, Delivery, FilteredEvent, OwnSubject

__all__ = [
    "AdChange",
    "AdDecision",
    "AdReport",
    "Advertiser",
    "AttributedConversion",
    "Audience",
    "AudienceBuild",
    "AudienceMember",
    "AudienceSeed",
    "Campaign",
    "Creative",
    "CreativeCount",
    "Delivery",
    "Experiment",
    "FilteredEvent",
    "Flight",
    "FlightBudget",
    "FlightPacing",
    "LedgerEntry",
    "OwnSubject",
    "PacingStep",
    "Placement",
    "Reconciliation",
    "SnapshotVersion",
]
