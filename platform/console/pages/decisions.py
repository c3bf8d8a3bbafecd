"""Decisions: what was answered to whom, why, and what came of it."""

from collections.abc import Callable
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from catalog.selectors import find_items
from console.base import LogAdmin, pretty_json
from console.search import DecisionField, SearchField, SubjectField, choice_field, time_field
from console.site import register
from console.theme import display
from decisions.models import Decision
from decisions.selectors import DecisionWithOutcomes, get_decision, outcomes
from serving.models import ModelVersion
from tenancy.secrets import public_subject_id

DEGRADED = {
    "previous_version": "The previous version answered: the live one could not be loaded.",
    "rules": "Rules without a model answered: no model did so in time.",
    "no_model": "Rules answered: this line has no model yet.",
    "fused": "No re-ranker is trained yet: the client's order was fused with that of the next-item model.",
    "client_order": "No model answered: the client's own order came back.",
}


# (decision, attribution) to what console/explanation.html shows.
Explainer = Callable[[Decision, str], dict[str, Any]]
_explainers: dict[str, Explainer] = {}


def explain_decisions(application: str, explainer: Explainer) -> None:
    """Let an application take its decisions apart on their pages, when an operator asks for it."""
    _explainers[application] = explainer


class DecidedForField(SubjectField):
    time = "decided_at"


class ScenarioField(SearchField):
    title = "Scenario"
    parameter_name = "scenario"

    def condition(self, text: str) -> Q:
        return Q(scenario=text)


@register(Decision)
class DecisionAdmin(LogAdmin):
    list_display = ("decided_at", "scenario", "subject", "served", "policy", "status_label", "latency")
    list_filter = (
        DecisionField,
        DecidedForField,
        ScenarioField,
        choice_field(
            title="Answered by",
            parameter="degraded",
            column="degraded",
            options=tuple((name, name.replace("_", " ")) for name in DEGRADED),
        ),
        time_field(title="Decided from (UTC)", parameter="from", lookup="decided_at__gte"),
        time_field(title="until (UTC)", parameter="until", lookup="decided_at__lt"),
    )
    ordering = ("-decision_id",)
    fields = ("decision_id", "decided_at", "application", "scenario", "subject", "policy", "variant", "request_text")
    readonly_fields = fields
    change_form_template = "console/decision.html"
    empty_title = "No decisions yet"
    empty_text = "Every answer of POST /api/v1/recommendations shows here, with its reasons and what came of it."

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Decision | None:
        try:
            return get_decision(Decision._meta.pk.to_python(object_id))
        except (Decision.DoesNotExist, ValueError):
            return None

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        decision = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if decision:
            events = outcomes(decision.decision_id)
            context |= {
                "decision": decision,
                "served_items": _with_titles(DecisionWithOutcomes(decision, events).items()),
                "outcomes": events,
                "degraded_text": DEGRADED.get(decision.degraded or "", decision.degraded),
                "version": _version(decision),
                "explainable": decision.application in _explainers,
            }
            if "explain" in request.GET and decision.application in _explainers:
                context |= _explainers[decision.application](decision, request.GET["explain"])
        return super().changeform_view(request, object_id, form_url, context)

    @display(description="Subject", empty_value="—")
    def subject(self, decision: Decision) -> SafeString | None:
        if decision.subject_key is None:
            return None
        return format_html('<span class="console-mono">{}</span>', public_subject_id(bytes(decision.subject_key)))

    @display(description="Items")
    def served(self, decision: Decision) -> int:
        return len(decision.items)

    @display(description="Status", label={"Full answer": "success", "Degraded": "warning"})
    def status_label(self, decision: Decision) -> str:
        return "Degraded" if decision.degraded else "Full answer"

    @display(description="Latency")
    def latency(self, decision: Decision) -> str:
        return f"{decision.latency_ms:.1f} ms"

    @display(description="Request")
    def request_text(self, decision: Decision) -> SafeString:
        return pretty_json(decision.request)


def _with_titles(served: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = find_items(item["id"] for item in served)
    return [item | {"title": known[item["id"]].title if item["id"] in known else ""} for item in served]


def _version(decision: Decision) -> ModelVersion | None:
    return ModelVersion.objects.filter(id=decision.model_version).first() if decision.model_version else None
