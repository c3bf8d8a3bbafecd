"""Addresses under /api/v1/risk/."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
