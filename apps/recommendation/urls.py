"""Addresses under /api/v1/."""

from django.urls import path

from apps.recommendation.api import RecommendationsView
from apps.recommendation.explanation_api import DecisionExplanationView

urlpatterns = [
    path("recommendations", RecommendationsView.as_view(), name="recommendations"),
    path("decisions/<uuid:id>/explanation", DecisionExplanationView.as_view(), name="decision-explanation"),
]
