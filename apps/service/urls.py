"""Addresses of customer service under /api/v1/; each topic keeps its own."""

from apps.service.understanding.urls import urlpatterns as understanding

urlpatterns = [*understanding]
