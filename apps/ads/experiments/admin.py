"""Experiments in the console, with what they have shown."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.ads.campaigns.admin import AdObjectAdmin
from apps.ads.campaigns.checks import fixed_by_time
from apps.ads.experiments.models import Experiment
from apps.ads.experiments.view import report_context
from console.site import register


@register(Experiment)
class ExperimentAdmin(AdObjectAdmin):
    list_title = "Experiments"
    list_display = ("name", "campaign", "starts_at", "ends_at", "updated_by")
    list_select_related = ("campaign",)
    actions_detail = ("archive",)
    change_form_template = "ads/experiment.html"
    empty_title = "No experiments yet"
    empty_text = (
        "An experiment shows flights or creatives of a campaign to different readers, and says which did better."
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fixed = super().get_readonly_fields(request, obj)
        if obj is None:
            return fixed
        return [*dict.fromkeys([*fixed, *fixed_by_time(obj)])]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if found is not None and request.method == "GET":
            context |= report_context(found)
        return super().changeform_view(request, object_id, form_url, context)
