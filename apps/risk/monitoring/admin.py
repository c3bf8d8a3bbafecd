"""Risk > Monitoring: one page, no rows."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from apps.risk.models import Monitoring
from apps.risk.monitoring.view import monitoring_context
from console.base import TenantModelAdmin
from console.site import register


@register(Monitoring)
class MonitoringAdmin(TenantModelAdmin):
    list_title = "Monitoring"

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
