"""Addresses under /api/v1/risk/."""

from django.urls import URLPattern

from apps.risk.rules.urls import urlpatterns as rules

urlpatterns: list[URLPattern] = [*rules]
