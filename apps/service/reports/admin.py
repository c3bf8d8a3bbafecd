"""Service > Reports in the console."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from apps.service.replies.settings import obtain_scenario
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
        settings = path(
            "settings/", self.admin_site.admin_view(self.settings_view), name="service_servicereport_settings"
        )
        return [export, settings, *super().get_urls()]

    def settings_view(self, request: HttpRequest) -> HttpResponse:
        """The desk's settings are those of its one scenario, which is made when it is first looked at."""
        return HttpResponseRedirect(reverse("admin:decisions_scenario_change", args=[obtain_scenario().pk]))

    def export_view(self, request: HttpRequest) -> HttpResponse:
        if not (self.has_view_permission(request) and self.has_analyst_permission(request)):
            raise PermissionDenied
        return csv_of(report_for_page(request.GET.get("by"), request.GET.get("days")))
