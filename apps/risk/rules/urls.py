"""Addresses of rules, lists and back-tests under /api/v1/risk/."""

from django.urls import path

from apps.risk.back_tests.api import BackTestsView, BackTestView
from apps.risk.lists.api import EntityListsView, EntityListView, ListEntriesView, ListEntryView
from apps.risk.rules.api import (
    DryRunView,
    PublishRiskRuleView,
    RestoreRiskRuleView,
    RiskFieldsView,
    RiskRuleChangesView,
    RiskRulesView,
    RiskRuleView,
    ShadowRiskRuleView,
    UnpublishRiskRuleView,
)

urlpatterns = [
    path("fields", RiskFieldsView.as_view(), name="risk-fields"),
    path("rules", RiskRulesView.as_view(), name="risk-rules"),
    path("rules/dry-run", DryRunView.as_view(), name="risk-dry-run"),
    path("rules/back-tests", BackTestsView.as_view(), name="risk-back-tests"),
    path("rules/back-tests/<uuid:id>", BackTestView.as_view(), name="risk-back-test"),
    path("rules/<uuid:id>", RiskRuleView.as_view(), name="risk-rule"),
    path("rules/<uuid:id>/publish", PublishRiskRuleView.as_view(), name="publish-risk-rule"),
    path("rules/<uuid:id>/shadow", ShadowRiskRuleView.as_view(), name="shadow-risk-rule"),
    path("rules/<uuid:id>/unpublish", UnpublishRiskRuleView.as_view(), name="unpublish-risk-rule"),
    path("rules/<uuid:id>/restore", RestoreRiskRuleView.as_view(), name="restore-risk-rule"),
    path("rules/<uuid:id>/changes", RiskRuleChangesView.as_view(), name="risk-rule-changes"),
    path("lists", EntityListsView.as_view(), name="risk-lists"),
    path("lists/<uuid:id>", EntityListView.as_view(), name="risk-list"),
    path("lists/<uuid:id>/entries", ListEntriesView.as_view(), name="risk-list-entries"),
    path("lists/<uuid:id>/entries/<uuid:entry_id>", ListEntryView.as_view(), name="risk-list-entry"),
]
