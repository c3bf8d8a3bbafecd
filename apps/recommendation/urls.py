"""Addresses under /api/v1/."""

from django.urls import path

from apps.recommendation.api import RecommendationsView

urlpatterns = [path("recommendations", RecommendationsView.as_view(), name="recommendations")]
