"""Addresses under /api/v1/."""

from django.urls import path

from apps.recommendation.api import RecommendationsView
from apps.recommendation.pages_api import PagesView

urlpatterns = [
    path("recommendations", RecommendationsView.as_view(), name="recommendations"),
    path("recommendations/pages", PagesView.as_view(), name="recommendation-pages"),
]
