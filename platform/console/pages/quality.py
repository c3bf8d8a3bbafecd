"""Data quality: what each cleaning rule touched in the newest training data, and which events those were."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from behavior.models import CleaningDrop, CleaningReport, Event, TimeQuality
from behavior.selectors import last_snapshot
from console.base import LogAdmin
from console.selectors import quality
from console.site import register
from console.theme import display

SHOWN = 100
RULES = {
    "repeats": "The same subject did the same with the same item again within a second: a double click or double send.",
    "missing items": "The type of the event needs an item, and there is none.",
    "bots": "Events of subjects that did more in a minute than a person can.",
    "impossible values": "Purchases with a negative value.",
    "value outliers": "Values far from all others of their type.",
    "unknown items": "The item is not in the catalogue. It counts all the same and is joined later.",
}
EFFECTS = {
    "dropped": "Left out of training",
    "value dropped": "Kept without the value",
    "kept": "Kept as it is",
}


@register(CleaningReport)
class CleaningReportAdmin(LogAdmin):
    list_title = "Data quality"
    list_display = ("rule_name", "meaning", "effect_in_words", "count")
    ordering = ("-count",)
    fields = ("rule_name", "meaning", "effect_in_words", "count")
    readonly_fields = fields
    list_before_template = "console/quality_summary.html"
    change_form_template = "console/cleaning_report.html"
    empty_title = "No training data yet"
    empty_text = "The first training run reads the log and cleans it; what each rule touched then shows here."

    def get_queryset(self, request: HttpRequest) -> QuerySet[CleaningReport]:
        return super().get_queryset(request).filter(snapshot=last_snapshot())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        found = quality()
        words = dict(TimeQuality.choices)
        context = {
            "quality": found,
            "time_quality": [
                (*words.get(name, name).partition(": ")[::2], count) for name, count in found.time_quality.items()
            ],
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        drops = CleaningDrop.objects.filter(report_id=self.row(request, str(object_id)).id)[:SHOWN]
        events = Event.objects.filter(event_id__in=[drop.event_id for drop in drops]).order_by("-occurred_at")
        context = {"events": events, "shown": SHOWN}
        return super().changeform_view(request, object_id, form_url, context | (extra_context or {}))

    @display(description="Rule")
    def rule_name(self, report: CleaningReport) -> str:
        return report.rule.capitalize()

    @display(description="What it looks for")
    def meaning(self, report: CleaningReport) -> str:
        return RULES.get(report.rule, "—")

    @display(description="What it does")
    def effect_in_words(self, report: CleaningReport) -> str:
        return EFFECTS.get(report.effect, report.effect)
