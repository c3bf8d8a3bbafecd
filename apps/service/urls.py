"""Addresses of customer service under /api/v1/; each topic keeps its own."""

from apps.service.knowledge.urls import urlpatterns as knowledge

urlpatterns = [*knowledge]
