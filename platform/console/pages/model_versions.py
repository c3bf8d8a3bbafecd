"""Model versions: judged by the gate, promoted, rolled back."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.base import LogAdmin, go_to
from console.rights import actor_name
from console.search import choice_field
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action, display
from console.training_view import run_context
from serving.models import ModelVersion, VersionStatus
from serving.selectors import deployment_history, find_deployment
from serving.services import PromotionRefused, promote, rollback

STATUS_COLOURS = {"Candidate": "info", "Live": "success", "Retired": None, "Refused": "danger"}
HISTORY_SHOWN = 20


@register(ModelVersion)
class ModelVersionAdmin(LogAdmin):
    list_display = ("__str__", "task", "status_label", "score", "best_baseline", "latency", "created_at")
    list_filter = (
        choice_field(title="Status", parameter="status", column="status", options=tuple(VersionStatus.choices)),
    )
    search_fields = ("model",)
    search_help_text = "Line of models"
    list_select_related = ("run",)
    ordering = ("-created_at",)
    fields = (
        "model",
        "number",
        "task",
        "status_label",
        "created_at",
        "run_link",
        "gate_verdict",
        "artifact",
        "files",
        "digest",
    )
    readonly_fields = fields
    actions_detail = ("promote_version", "roll_back")
    change_form_template = "console/model_version.html"
    empty_title = "No model versions yet"
    empty_text = "Each training run that ends well makes one. Until then, answers come from rules without a model."

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """What is possible now: a version that is live can only be rolled back, another one only promoted."""
        version = self.get_object(request, str(object_id))
        if version is None or version.status == VersionStatus.REFUSED or version.files_deleted_at:
            return []
        if version.status != VersionStatus.LIVE:
            possible = "promote_version"
        else:
            deployment = find_deployment(version.model)
            possible = "roll_back" if deployment and deployment.previous_version_id else ""
        return [one for one in super().get_actions_detail(request, object_id) if one.path == possible]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        version = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if version:
            history = deployment_history(version.model)[:HISTORY_SHOWN]
            context |= {"version": version, "history": history, **run_context(version.run)}
        return super().changeform_view(request, object_id, form_url, context)

    @display(description="Status", label=STATUS_COLOURS)
    def status_label(self, version: ModelVersion) -> str:
        return version.get_status_display()

    @display(description="Score")
    def score(self, version: ModelVersion) -> str:
        report = version.run.report
        return f"{report['metric'].upper()} {report['score']:.4f}" if report else "—"

    @display(description="Best untrained")
    def best_baseline(self, version: ModelVersion) -> str:
        baselines = (version.run.report or {}).get("baselines")
        return f"{max(baselines.values()):.4f}" if baselines else "—"

    @display(description="p99 of one prediction")
    def latency(self, version: ModelVersion) -> str:
        latency = version.metrics.get("predict_p99_ms")
        return f"{latency:.1f} ms" if latency is not None else "—"

    @display(description="Training run")
    def run_link(self, version: ModelVersion) -> SafeString:
        url = reverse("admin:serving_trainingrun_change", args=[version.run_id])
        return format_html('<a class="console-link" href="{}">{}</a>', url, version.run)

    @display(description="Verdict of the gate")
    def gate_verdict(self, version: ModelVersion) -> SafeString | str:
        if not version.reasons:
            return "—"
        rows = format_html_join("", "<li>{}</li>", ((reason,) for reason in version.reasons))
        return format_html('<ul class="console-list">{}</ul>', rows)

    @display(description="Files")
    def files(self, version: ModelVersion) -> str:
        if version.files_deleted_at is None:
            return "Kept"
        return f"Deleted on {version.files_deleted_at:%Y-%m-%d}, since nothing asked this version any more"

    @display(description="SHA-256 of the artifact")
    def digest(self, version: ModelVersion) -> SafeString:
        return format_html('<span class="console-mono">{}</span>', version.artifact_sha256)

    @action(
        description="Promote",
        icon="rocket_launch",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Let this version answer?",
            "description": "It answers for its line from now on. The version that answers now stays one click away.",
            "form_class": None,
            "form_submit_text": "Promote",
        },
    )
    def promote_version(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        version = self.row(request, object_id)
        try:
            promote(version=version, actor=actor_name(request))
        except PromotionRefused as refusal:
            messages.error(request, str(refusal))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, f"{version} is live.")
        return go_to(self.page_of(version))

    @action(
        description="Roll back",
        icon="undo",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Go back to the previous version?",
            "description": "The version that answered before this one answers again from now on.",
            "form_class": None,
            "form_submit_text": "Roll back",
        },
    )
    def roll_back(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        version = self.row(request, object_id)
        try:
            deployment = rollback(model=version.model, actor=actor_name(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, f"{deployment.live_version} answers again.")
        return go_to(self.page_of(version))
