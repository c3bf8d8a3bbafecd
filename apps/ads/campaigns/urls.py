"""Addresses of advertisers, campaigns, flights, creatives and placements under /api/v1/ads/."""

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, path

from apps.ads.campaigns.api import VIEWS, ApproveCreativeView, PauseFlightView, RejectCreativeView, StartFlightView


def object_paths(name: str, views: tuple[Callable[..., Any], ...]) -> list[URLPattern]:
    """Of the views that `views_of` makes for one kind of object."""
    listed, single, history = views
    return [
        path(name, listed, name=f"ad-{name}"),
        path(f"{name}/<uuid:id>", single, name=f"ad-{name}-one"),
        path(f"{name}/<uuid:id>/changes", history, name=f"ad-{name}-changes"),
    ]


urlpatterns: list[URLPattern] = [
    path("flights/<uuid:id>/start", StartFlightView.as_view(), name="start-ad-flight"),
    path("flights/<uuid:id>/pause", PauseFlightView.as_view(), name="pause-ad-flight"),
    path("creatives/<uuid:id>/approve", ApproveCreativeView.as_view(), name="approve-ad-creative"),
    path("creatives/<uuid:id>/reject", RejectCreativeView.as_view(), name="reject-ad-creative"),
]
for name, views in VIEWS.items():
    urlpatterns += object_paths(name, views)
