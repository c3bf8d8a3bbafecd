"""Addresses under /api/v1/."""

from django.urls import path

from apps.recommendation.api import RecommendationsView
from apps.recommendation.batch_api import BatchesView, BatchFileView, BatchView
from apps.recommendation.scenario_api import ScenariosView, SufficiencyView

urlpatterns = [
    path("recommendations", RecommendationsView.as_view(), name="recommendations"),
    path("recommendations/batches", BatchesView.as_view(), name="batches"),
    path("recommendations/batches/<uuid:id>", BatchView.as_view(), name="batch"),
    path("recommendations/batches/<uuid:id>/file", BatchFileView.as_view(), name="batch-file"),
    path("scenarios", ScenariosView.as_view(), name="scenarios"),
    path("scenarios/<slug:key>/sufficiency", SufficiencyView.as_view(), name="sufficiency"),
]
