"""Data sufficiency: for each scenario whether there is data enough, and what is missing."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from apps.recommendation.models import ScenarioData
from apps.recommendation.scenarios import APPLICATION
from apps.recommendation.sufficiency.requirements import Requirement, Verdict
from apps.recommendation.sufficiency.verdicts import sufficiency
from console.base import TenantModelAdmin
from console.figures import percent
from console.site import register
from console.theme import display

LABELS = {"Enough": "success", "Thin": "warning", "Insufficient": "danger"}
WORDS = {Verdict.OK: "Enough", Verdict.THIN: "Thin", Verdict.INSUFFICIENT: "Insufficient"}
MEANINGS = {
    Verdict.OK: "There is data enough for this scenario.",
    Verdict.THIN: "The scenario works, and less well than it could.",
    Verdict.INSUFFICIENT: "The scenario can not do its work yet: other items stand in.",
}


@register(ScenarioData)
class ScenarioDataAdmin(TenantModelAdmin):
    list_title = "Data sufficiency"
    list_display = ("name", "key", "kind", "verdict", "missing")
    ordering = ("key",)
    actions = None
    fields = ("name", "key", "kind")
    readonly_fields = fields
    change_form_template = "recommendation/sufficiency.html"
    empty_title = "No scenarios yet"
    empty_text = "The first request for recommendations makes them."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScenarioData]:
        return super().get_queryset(request).filter(application=APPLICATION)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        scenario = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if scenario:
            found = sufficiency(scenario)
            context |= {
                "sufficiency": found,
                "verdict_text": WORDS[found.verdict],
                "verdict_type": LABELS[WORDS[found.verdict]],
                "meaning": MEANINGS[found.verdict],
                "rows": [_row(each) for each in found.requirements],
            }
        return super().changeform_view(request, object_id, form_url, context)

    @display(description="Verdict", label=LABELS)
    def verdict(self, scenario: ScenarioData) -> str:
        return WORDS[sufficiency(scenario).verdict]

    @display(description="What is missing")
    def missing(self, scenario: ScenarioData) -> str:
        return "; ".join(f"{each.title}: {each.missing}" for each in sufficiency(scenario).missing) or "Nothing"


def _row(requirement: Requirement) -> dict[str, Any]:
    words = WORDS[requirement.verdict]
    return {
        "requirement": requirement,
        "text": words,
        "type": LABELS[words],
        "found": _in_words(requirement.found, requirement) + (" or more" if requirement.at_least else ""),
        "needed": _in_words(requirement.needed, requirement),
    }


def _in_words(value: float | None, requirement: Requirement) -> str:
    if value is None:
        return "—"
    if requirement.unit == "share":
        return percent(value, 0)
    return f"{value:,.0f} {requirement.unit}"
