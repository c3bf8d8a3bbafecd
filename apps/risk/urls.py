"""Addresses under /api/v1/risk/."""

from django.urls import path

from apps.risk.assessments.api import AssessmentBatchView, AssessmentsView, AssessmentView
from apps.risk.assessments.settings_api import RiskSettingsView, ThresholdsView
from apps.risk.cases.urls import urlpatterns as cases
from apps.risk.labels.api import LabelsView
from apps.risk.links.api import LinksView
from apps.risk.monitoring.api import MonitoringView
from apps.risk.rules.urls import urlpatterns as rules

urlpatterns = [
    path("assessments", AssessmentsView.as_view(), name="risk-assessments"),
    path("assessments/batch", AssessmentBatchView.as_view(), name="risk-assessment-batch"),
    path("assessments/<path:transaction_id>", AssessmentView.as_view(), name="risk-assessment"),
    path("settings", RiskSettingsView.as_view(), name="risk-settings"),
    path("thresholds", ThresholdsView.as_view(), name="risk-thresholds"),
    path("labels", LabelsView.as_view(), name="risk-labels"),
    *cases,
    path("links", LinksView.as_view(), name="risk-links"),
    *rules,
    path("monitoring", MonitoringView.as_view(), name="risk-monitoring"),
]
