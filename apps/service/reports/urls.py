"""Addresses of reports under /api/v1/."""

from django.urls import path

from apps.service.reports.api import ServiceReportFileView, ServiceReportView

urlpatterns = [
    path("service/reports", ServiceReportView.as_view(), name="service-reports"),
    path("service/reports.csv", ServiceReportFileView.as_view(), name="service-reports-csv"),
]
