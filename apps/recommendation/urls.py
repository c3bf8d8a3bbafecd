"""Addresses under /api/v1/."""

from django.urls import path

from apps.recommendation.api import RecommendationsView
from apps.recommendation.rankings_api import RankingsView

urlpatterns = [
    path("recommendations", RecommendationsView.as_view(), name="recommendations"),
    path("rankings", RankingsView.as_view(), name="rankings"),
]
