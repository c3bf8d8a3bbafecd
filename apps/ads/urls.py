"""Addresses under /api/v1/ads/; each topic keeps its own."""

from django.urls import URLPattern, path

from apps.ads.auctions.api import AdDecisionsView
from apps.ads.audiences.api import VIEWS as audiences
from apps.ads.audiences.api import AdAudienceBuildsView, AdAudienceSeedView
from apps.ads.campaigns.urls import object_paths
from apps.ads.campaigns.urls import urlpatterns as campaigns
from apps.ads.experiments.api import VIEWS as experiments
from apps.ads.experiments.api import AdExperimentReportView
from apps.ads.forecasts.api import AdForecastView
from apps.ads.pacing.api import AdFlightProgressView
from apps.ads.reports.api import AdAccountsView, AdReportFileView, AdReportView
from apps.ads.settings_api import AdSettingsView
from apps.ads.tracking.api import (
    AdImpressionsView,
    AdOwnPeopleChangesView,
    AdOwnPeopleView,
    AdvertiserOwnPeopleView,
)
from apps.ads.tracking.models import EventKind
from apps.ads.tracking.public import click, pixel

urlpatterns: list[URLPattern] = [
    # Asked for most, and so tried first.
    path("decisions", AdDecisionsView.as_view(), name="ad-decisions"),
    *campaigns,
    *object_paths("audiences", audiences),
    path("audiences/<uuid:id>/seed", AdAudienceSeedView.as_view(), name="ad-audience-seed"),
    path("audiences/<uuid:id>/builds", AdAudienceBuildsView.as_view(), name="ad-audience-builds"),
    *object_paths("experiments", experiments),
    path("experiments/<uuid:id>/report", AdExperimentReportView.as_view(), name="ad-experiment-report"),
    path("own-people", AdOwnPeopleView.as_view(), name="ad-own-people"),
    path("own-people/changes", AdOwnPeopleChangesView.as_view(), name="ad-own-people-changes"),
    path("advertisers/<uuid:id>/own-people", AdvertiserOwnPeopleView.as_view(), name="ad-advertiser-own-people"),
    path("flights/<uuid:id>/progress", AdFlightProgressView.as_view(), name="ad-flight-progress"),
    path("flights/<uuid:id>/forecast", AdForecastView.as_view(), name="ad-flight-forecast"),
    path("impressions", AdImpressionsView.as_view(), name="ad-impressions"),
    # Without a key, for browsers; see api.middleware.TOKEN_PATHS.
    path("impressions/<str:token>", pixel, name="ad-pixel"),
    path("views/<str:token>", pixel, {"kind": EventKind.VIEWABLE}, name="ad-viewable"),
    path("clicks/<str:token>", click, name="ad-click"),
    path("reports", AdReportView.as_view(), name="ad-reports"),
    path("reports.csv", AdReportFileView.as_view(), name="ad-reports-csv"),
    path("accounts", AdAccountsView.as_view(), name="ad-accounts"),
    path("settings", AdSettingsView.as_view(), name="ad-settings"),
]
