"""Risk > Monitoring: one page, no rows; and the way to the desk's settings."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps.risk.assessments.settings import obtain_scenario
from apps.risk.models import Monitoring
from apps.risk.monitoring.view import monitoring_context
from console.base import TenantModelAdmin
from console.site import register


@register(Monitoring)
class MonitoringAdmin(TenantModelAdmin):
    list_title = "Monitoring"

    def get_urls(self) -> list[URLPattern]:
        settings = path("settings/", self.admin_site.admin_view(self.settings_view), name="risk_monitoring_settings")
        return [settings, *super().get_urls()]

    def settings_view(self, request: HttpRequest) -> HttpResponse:
        """The desk's settings are those of its one scenario, which is made when it is first looked at."""
        return HttpResponseRedirect(reverse("admin:decisions_scenario_change", args=[obtain_scenario().pk]))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            **self.frame(title="Risk monitoring"),
            **monitoring_context(request.GET.get("days")),
            "opts": self.opts,
        }
        return TemplateResponse(request, "risk/monitoring.html", context)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return self.changelist_view(request)
