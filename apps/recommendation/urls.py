"""Addresses under /api/v1/."""

from django.urls import path

from apps.recommendation.api import RecommendationsView
from apps.recommendation.batches.api import BatchesView, BatchFileView, BatchView
from apps.recommendation.explanations.api import DecisionExplanationView
from apps.recommendation.lists.pages_api import PagesView
from apps.recommendation.rankings.api import RankingsView
from apps.recommendation.rules.api import (
    PreviewRulesView,
    PublishRuleView,
    RestoreRuleView,
    RuleChangesView,
    RulesView,
    RuleView,
    UnpublishRuleView,
)
from apps.recommendation.scenario_api import ScenariosView, SufficiencyView
from apps.recommendation.searches.api import SearchesView

urlpatterns = [
    path("recommendations", RecommendationsView.as_view(), name="recommendations"),
    path("recommendations/pages", PagesView.as_view(), name="recommendation-pages"),
    path("recommendations/batches", BatchesView.as_view(), name="batches"),
    path("recommendations/batches/<uuid:id>", BatchView.as_view(), name="batch"),
    path("recommendations/batches/<uuid:id>/file", BatchFileView.as_view(), name="batch-file"),
    path("scenarios", ScenariosView.as_view(), name="scenarios"),
    path("scenarios/<slug:key>/sufficiency", SufficiencyView.as_view(), name="sufficiency"),
    path("rules", RulesView.as_view(), name="rules"),
    path("rules/preview", PreviewRulesView.as_view(), name="preview-rules"),
    path("rules/<uuid:id>", RuleView.as_view(), name="rule"),
    path("rules/<uuid:id>/publish", PublishRuleView.as_view(), name="publish-rule"),
    path("rules/<uuid:id>/unpublish", UnpublishRuleView.as_view(), name="unpublish-rule"),
    path("rules/<uuid:id>/restore", RestoreRuleView.as_view(), name="restore-rule"),
    path("rules/<uuid:id>/changes", RuleChangesView.as_view(), name="rule-changes"),
    path("rankings", RankingsView.as_view(), name="rankings"),
    path("decisions/<uuid:id>/explanation", DecisionExplanationView.as_view(), name="decision-explanation"),
    path("searches", SearchesView.as_view(), name="searches"),
]
