"""Service > Experiments in the console: begun, read, and decided."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from apps.service.experiments.models import Arm, Experiment, ExperimentOutcome
from apps.service.experiments.selectors import LINES
from apps.service.experiments.services import promote_arm, start, stop
from apps.service.experiments.view import report_context
from console.base import TenantModelAdmin, go_to
from console.forms import ServiceForm
from console.rights import actor_name
from console.search import choice_field
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action, display
from serving.models import ModelVersion, VersionStatus
from serving.services import PromotionRefused, StateConflict
from tenancy.models import Role

OUTCOME_COLOURS = {"Running": "info", "Stopped": None, "Stopped, and a version promoted": "success"}
SHOWN = (
    *("name", "status_label", "model", "control", "challenger", "share"),
    *("started_at", "started_by", "ended_at", "ended_by", "promoted"),
)


class StartForm(ServiceForm):
    actor = ""  # set by the page

    class Meta:
        model = Experiment
        fields = ("name", "challenger", "share")
        help_texts = {
            "challenger": "A version of the lines intents, replies or cross-encoder; its line's live version is what "
            "it is compared with.",
            "share": "Of the conversations, that the challenger answers: between 0 and 1.",
        }

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        if "challenger" not in self.fields:
            # One that has begun is only read.
            return
        able = (VersionStatus.CANDIDATE, VersionStatus.RETIRED)
        offered = ModelVersion.objects.filter(model__in=LINES, status__in=able, files_deleted_at=None)
        offered = offered.order_by("model", "-number")
        self.fields["challenger"].queryset = offered  # type: ignore[attr-defined]

    def write(self) -> Experiment:
        wanted = self.cleaned_data
        try:
            return start(
                name=wanted["name"], challenger_id=wanted["challenger"].id, share=wanted["share"], actor=self.actor
            )
        except StateConflict as error:
            raise ValidationError(error.messages) from error


@register(Experiment)
class ExperimentAdmin(TenantModelAdmin):
    list_title = "Experiments"
    who_adds = Role.OPERATOR
    form = StartForm
    list_display = ("name", "status_label", "model", "control", "challenger", "share", "started_at", "ended_at")
    list_select_related = ("control", "challenger")
    list_filter = (
        choice_field(title="Status", parameter="status", column="outcome", options=tuple(ExperimentOutcome.choices)),
    )
    ordering = ("-started_at",)
    actions = None
    actions_detail = ("promote_challenger", "stop_experiment")
    change_form_template = "service/experiment.html"
    empty_title = "No experiments yet"
    empty_text = "An experiment lets two versions of a model answer different conversations, and says which did better."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return SHOWN if obj else ("name", "challenger", "share")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return SHOWN if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def save_model(self, request: HttpRequest, obj: Experiment, form: forms.ModelForm, change: bool) -> None:
        """The form has started it."""

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        found = self.get_object(request, str(object_id))
        return super().get_actions_detail(request, object_id) if found is not None and found.is_running else []

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id) if object_id else None
        context = (extra_context or {}) | (report_context(found) if found else {})
        return super().changeform_view(request, object_id, form_url, context)

    @display(description="Status", label=OUTCOME_COLOURS)
    def status_label(self, experiment: Experiment) -> str:
        return experiment.get_outcome_display()

    @action(
        description="Promote the challenger",
        icon="rocket_launch",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Let the challenger answer all conversations?",
            "description": "The experiment ends, and the challenger is live from now on. The version that is live now "
            "stays one click away.",
            "form_class": None,
            "form_submit_text": "Promote",
        },
    )
    def promote_challenger(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        experiment = self.row(request, object_id)
        try:
            promote_arm(experiment_id=experiment.id, arm=Arm.CHALLENGER, actor=actor_name(request))
        except PromotionRefused as refusal:
            messages.error(request, str(refusal))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, f"{experiment.challenger} is live.")
        return go_to(self.page_of(experiment))

    @action(
        description="Stop",
        icon="stop_circle",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Stop this experiment?",
            "description": "The live version answers all conversations again. What was measured stays.",
            "form_class": None,
            "form_submit_text": "Stop",
        },
    )
    def stop_experiment(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        experiment = self.row(request, object_id)
        try:
            stop(experiment_id=experiment.id, actor=actor_name(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, "The experiment is stopped.")
        return go_to(self.page_of(experiment))
