"""Service > Reports in the console."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from apps.service.reports.api import csv_of
from apps.service.reports.models import ServiceReport
from apps.service.reports.view import report_context, report_for_page
from console.page_admin import PageAdmin
from console.site import register


@register(ServiceReport)
class ServiceReportAdmin(PageAdmin):
    list_title = "Service report"
    template = "service/report.html"

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        return report_context(request.GET.get("by"), request.GET.get("days"))

    def get_urls(self) -> list[URLPattern]:
        export = path("export/", self.admin_site.admin_view(self.export_view), name="service_servicereport_export")
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        if not (self.has_view_permission(request) and self.has_analyst_permission(request)):
            raise PermissionDenied
        return csv_of(report_for_page(request.GET.get("by"), request.GET.get("days")))
