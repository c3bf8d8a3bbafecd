"""Addresses of experiments under /api/v1/."""

from django.urls import path

from apps.service.experiments.api import (
    PromoteArmView,
    ServiceExperimentReportView,
    ServiceExperimentsView,
    ServiceExperimentView,
    StopServiceExperimentView,
)

ONE = "service/experiments/<uuid:id>"
urlpatterns = [
    path("service/experiments", ServiceExperimentsView.as_view(), name="service-experiments"),
    path(ONE, ServiceExperimentView.as_view(), name="service-experiment"),
    path(f"{ONE}/report", ServiceExperimentReportView.as_view(), name="service-experiment-report"),
    path(f"{ONE}/stop", StopServiceExperimentView.as_view(), name="stop-service-experiment"),
    path(f"{ONE}/promote", PromoteArmView.as_view(), name="promote-service-experiment"),
]
