"""Training runs: started, followed, cancelled."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.base import TenantModelAdmin, go_to, pretty_json
from console.forms import PrettyJSONField, ServiceForm
from console.rights import actor_name
from console.search import choice_field
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action, display
from console.training_view import percent_done, run_context, score_rows, stage_in_words
from serving.models import ACTIVE_STATUSES, RunStatus, TrainingRun
from serving.services import cancel_training, request_training
from tenancy.models import Role

TASKS = ("next_item", "search_ranking", "risk", "anomaly", "intents", "replies", "cross_encoder")
STATUS_COLOURS = {
    "Queued": None,
    "Running": "info",
    "Succeeded": "success",
    "Failed": "danger",
    "Cancelled": "warning",
}


class StartForm(ServiceForm):
    requested_by = ""  # set by the page
    config = PrettyJSONField(
        label="Settings",
        required=False,
        initial=dict,
        help_text=(
            'Leave {} for the defaults. Examples: {"encoder": "lstm", "epochs": 10, "seed": 1}; '
            '{"search": {"trials": 20}} tries settings on the validation events and trains with the best.'
        ),
    )

    class Meta:
        model = TrainingRun
        fields = ("model", "task", "config", "warm_start", "auto_promote")
        help_texts = {
            "model": "Line of models that the new version joins, such as next-item.",
            "task": "What is learned: next_item; search_ranking from clicks on rankings; risk from transactions with "
            "labels; anomaly from transactions without; intents from labelled examples of what customers want; "
            "replies and cross_encoder from what agents accept and edit.",
            "auto_promote": "Let the version answer at once when it passes the promotion gate.",
        }

    def write(self) -> TrainingRun:
        return request_training(
            model=self.cleaned_data["model"],
            task=self.cleaned_data["task"],
            config=self.cleaned_data["config"] or {},
            auto_promote=self.cleaned_data["auto_promote"],
            warm_start=self.cleaned_data["warm_start"],
            requested_by=self.requested_by,
        )


@register(TrainingRun)
class TrainingRunAdmin(TenantModelAdmin):
    who_adds = Role.ANALYST
    form = StartForm
    list_display = ("model", "task", "status_label", "progress_bar", "score", "created_at", "duration", "requested_by")
    list_filter = (
        choice_field(title="Status", parameter="status", column="status", options=tuple(RunStatus.choices)),
        choice_field(title="Task", parameter="task", column="task", options=tuple((name, name) for name in TASKS)),
    )
    ordering = ("-created_at",)
    actions = None
    actions_detail = ("cancel",)
    change_form_template = "console/training_run.html"
    empty_title = "No training runs yet"
    empty_text = "Once the log holds some hundred events, start a run; its curves show here while it learns."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ("model", "task", "config", "warm_start", "auto_promote")
        return (
            *("model", "task", "status_label", "created_at", "duration", "attempt", "requested_by"),
            *("warm_start", "config_text", "failure"),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"model": "next-item", "task": "next_item", "config": {}, "warm_start": False, "auto_promote": True}

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.requested_by = actor_name(request)
        return form

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        run = self.get_object(request, str(object_id))
        active = run is not None and run.status in ACTIVE_STATUSES
        return super().get_actions_detail(request, object_id) if active else []

    def refreshes(self, request: HttpRequest, object_id: str | None) -> bool:
        active = self.get_queryset(request).filter(status__in=ACTIVE_STATUSES)
        return (active.filter(pk=object_id) if object_id else active).exists()

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        run = self.get_object(request, object_id) if object_id else None
        context = (extra_context or {}) | ({"run": run, **run_context(run)} if run else {})
        return super().changeform_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: TrainingRun, form: forms.ModelForm, change: bool) -> None:
        """The form has queued the run."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, "The run is queued; this page follows it.")
        return HttpResponseRedirect(self.page_of(obj))

    @display(description="Status", label=STATUS_COLOURS)
    def status_label(self, run: TrainingRun) -> str:
        return run.get_status_display()

    @display(description="Progress")
    def progress_bar(self, run: TrainingRun) -> SafeString | str:
        if run.status not in ACTIVE_STATUSES:
            return "—"
        return format_html(
            '<div class="console-progress" title="{}"><div style="width: {}%"></div></div>',
            stage_in_words(run),
            percent_done(run),
        )

    @display(description="Score (best untrained)")
    def score(self, run: TrainingRun) -> str:
        rows = score_rows(run.report)
        if not rows or run.report is None:
            return "—"
        baseline = max(run.report["baselines"].values(), default=0.0)
        return f"{run.report['metric'].upper()} {run.report['score']:.4f} ({baseline:.4f})"

    @display(description="Duration")
    def duration(self, run: TrainingRun) -> str:
        if run.started_at is None:
            return "—"
        seconds = int(((run.finished_at or timezone.now()) - run.started_at).total_seconds())
        return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"

    @display(description="Settings")
    def config_text(self, run: TrainingRun) -> SafeString | str:
        return pretty_json(run.config) if run.config else "Defaults"

    @display(description="Failure")
    def failure(self, run: TrainingRun) -> str:
        return run.error or "—"

    @action(
        description="Cancel",
        icon="stop_circle",
        permissions=["analyst"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Cancel this run?",
            "description": "Its worker stops within seconds, and no version is made.",
            "form_class": None,
            "form_submit_text": "Cancel the run",
        },
    )
    def cancel(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        run = self.row(request, object_id)
        try:
            cancel_training(run_id=run.id)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, "The run is cancelled.")
        return go_to(self.page_of(run))
