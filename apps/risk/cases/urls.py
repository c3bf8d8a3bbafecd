"""Addresses of alerts and cases under /api/v1/risk/."""

from django.urls import path

from apps.risk.cases.alerts_api import AlertReleaseView, AlertsView, AlertView
from apps.risk.cases.api import (
    CaseEventsView,
    CaseMergeView,
    CaseReleaseView,
    CasesView,
    CaseView,
    LinkedCasesView,
)

urlpatterns = [
    path("alerts", AlertsView.as_view(), name="risk-alerts"),
    path("alerts/<uuid:id>", AlertView.as_view(), name="risk-alert"),
    path("alerts/<uuid:id>/release", AlertReleaseView.as_view(), name="risk-alert-release"),
    path("cases", CasesView.as_view(), name="risk-cases"),
    path("cases/<uuid:id>", CaseView.as_view(), name="risk-case"),
    path("cases/<uuid:id>/events", CaseEventsView.as_view(), name="risk-case-events"),
    path("cases/<uuid:id>/linked", LinkedCasesView.as_view(), name="risk-linked-cases"),
    path("cases/<uuid:id>/merge", CaseMergeView.as_view(), name="risk-case-merge"),
    path("cases/<uuid:id>/release", CaseReleaseView.as_view(), name="risk-case-release"),
]
