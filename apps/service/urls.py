"""Addresses of customer service under /api/v1/; each topic keeps its own."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
