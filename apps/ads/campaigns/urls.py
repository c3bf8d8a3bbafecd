"""Addresses of advertisers, campaigns, flights, creatives and placements under /api/v1/ads/."""

from django.urls import URLPattern, path

from apps.ads.campaigns.api import VIEWS, PauseFlightView, StartFlightView

urlpatterns: list[URLPattern] = [
    path("flights/<uuid:id>/start", StartFlightView.as_view(), name="start-ad-flight"),
    path("flights/<uuid:id>/pause", PauseFlightView.as_view(), name="pause-ad-flight"),
]
for name, (listed, single, history) in VIEWS.items():
    urlpatterns += [
        path(name, listed, name=f"ad-{name}"),
        path(f"{name}/<uuid:id>", single, name=f"ad-{name}-one"),
        path(f"{name}/<uuid:id>/changes", history, name=f"ad-{name}-changes"),
    ]
