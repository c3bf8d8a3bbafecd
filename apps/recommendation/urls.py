"""Addresses under /api/v1/."""

from django.urls import path

from apps.recommendation.api import RecommendationsView
from apps.recommendation.search_api import SearchesView

urlpatterns = [
    path("recommendations", RecommendationsView.as_view(), name="recommendations"),
    path("searches", SearchesView.as_view(), name="searches"),
]
