"""Addresses under /api/v1/ads/; each topic keeps its own."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
