"""Batches: started, followed, downloaded, cancelled."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.recommendation.batches import files as batch_files
from apps.recommendation.batches.services import MOST_ITEMS, discard, progress_of, request_batch
from apps.recommendation.models import ACTIVE_BATCHES, Batch, BatchFormat, BatchStatus
from apps.recommendation.selectors import UnknownScenario, scenarios
from apps.recommendation.services import ASKED_ELSEWHERE
from console.base import TenantModelAdmin, go_to, pretty_json
from console.forms import PrettyJSONField, ServiceForm
from console.rights import actor_name
from console.search import choice_field
from console.site import register
from console.theme import (
    ActionVariant,
    BaseDialogForm,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    action,
    display,
)
from tenancy.models import Role

STATUS_COLOURS = {
    "Queued": None,
    "Running": "info",
    "Succeeded": "success",
    "Failed": "danger",
    "Cancelled": "warning",
}
ASKED = ("scenario", "count", "format", "filter", "params")


def active_scenarios() -> list[tuple[str, str]]:
    listed = scenarios().filter(is_active=True).exclude(kind__in=ASKED_ELSEWHERE)
    return list(listed.values_list("key", "name"))


class BatchForm(ServiceForm):
    requested_by = ""  # set by the page
    scenario = forms.ChoiceField(choices=active_scenarios, widget=UnfoldAdminSelectWidget)
    count = forms.IntegerField(
        label="Items in each list", min_value=1, max_value=MOST_ITEMS, widget=UnfoldAdminIntegerFieldWidget
    )
    filter = PrettyJSONField(
        required=False,
        help_text='Which items may appear, such as {"range": {"field": "price", "lte": 80}}; empty lets all in.',
    )
    params = PrettyJSONField(
        label="Settings", required=False, help_text="Settings of the scenario that are replaced for this batch."
    )

    class Meta:
        model = Batch
        fields = ASKED

    def clean_filter(self) -> dict[str, Any] | None:
        return self._object("filter")

    def clean_params(self) -> dict[str, Any]:
        return self._object("params") or {}

    def _object(self, name: str) -> dict[str, Any] | None:
        value = self.cleaned_data[name]
        if value and not isinstance(value, dict):
            raise ValidationError("must be a JSON object")
        return value or None

    def write(self) -> Batch:
        try:
            return request_batch(**self.cleaned_data, requested_by=self.requested_by)
        except UnknownScenario as error:
            raise ValidationError({"scenario": str(error)}) from error
        except ValidationError as error:
            known = error.message_dict if hasattr(error, "error_dict") else {}
            if known and not known.keys() <= set(ASKED):
                # The settings are judged name by name, and all of them stand in one field.
                raise ValidationError(
                    {"params": [f"{name}: {text}" for name, texts in known.items() for text in texts]}
                ) from error
            raise


@register(Batch)
class BatchAdmin(TenantModelAdmin):
    who_adds = Role.ANALYST
    form = BatchForm
    list_display = ("created_at", "scenario", "status_label", "progress_bar", "lists", "format", "requested_by")
    list_filter = (
        choice_field(title="Status", parameter="status", column="status", options=tuple(BatchStatus.choices)),
        choice_field(title="Format", parameter="format", column="format", options=tuple(BatchFormat.choices)),
    )
    ordering = ("-created_at",)
    actions = None
    actions_detail = ("cancel", "delete_file")
    change_form_template = "recommendation/batch.html"
    empty_title = "No batches yet"
    empty_text = "A batch makes lists for everybody at once, for an e-mail or another system, as one file."

    def get_urls(self) -> list[URLPattern]:
        download = path(
            "<uuid:id>/download/", self.admin_site.admin_view(self.download), name="recommendation_batch_download"
        )
        return [download, *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ASKED
        return ("scenario", "count", "format", "created_at", "requested_by", "filter_text", "params_text")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"scenario": "email", "count": 12, "format": BatchFormat.PARQUET, "filter": {}, "params": {}}

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.requested_by = actor_name(request)
        return form

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        batch = self.get_object(request, str(object_id))
        possible = ""
        if batch is not None and batch.status in ACTIVE_BATCHES:
            possible = "cancel"
        elif batch is not None and batch.file_bytes is not None:
            possible = "delete_file"
        return [each for each in super().get_actions_detail(request, object_id) if each.path == possible]

    def refreshes(self, request: HttpRequest, object_id: str | None) -> bool:
        active = self.get_queryset(request).filter(status__in=ACTIVE_BATCHES)
        return (active.filter(pk=object_id) if object_id else active).exists()

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("subject_keys")

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        batch = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if batch:
            context |= {
                "batch": batch,
                "progress": progress_of([batch])[batch.id],
                "is_active": batch.status in ACTIVE_BATCHES,
                "may_download": self.has_operator_permission(request),
            }
        return super().changeform_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Batch, form: forms.ModelForm, change: bool) -> None:
        """The form has queued the batch."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, "The batch is queued; this page follows it.")
        return HttpResponseRedirect(self.page_of(obj))

    def download(self, request: HttpRequest, id: Any) -> HttpResponseBase:
        """The file names subjects by their raw ids, so it is for operators."""
        if not self.has_operator_permission(request):
            raise PermissionDenied
        batch = self.row(request, str(id))
        try:
            return batch_files.open_file(batch)
        except batch_files.NoFile as error:
            messages.error(request, str(error).capitalize())
            return HttpResponseRedirect(self.page_of(batch))

    @display(description="Status", label=STATUS_COLOURS)
    def status_label(self, batch: Batch) -> str:
        return batch.get_status_display()

    @display(description="Progress")
    def progress_bar(self, batch: Batch) -> SafeString | str:
        if batch.status not in ACTIVE_BATCHES:
            return "—"
        return progress_bar(progress_of([batch])[batch.id].percent)

    @display(description="Filter")
    def filter_text(self, batch: Batch) -> SafeString | str:
        return pretty_json(batch.filter) if batch.filter else "None"

    @display(description="Settings")
    def params_text(self, batch: Batch) -> SafeString | str:
        return pretty_json(batch.params) if batch.params else "Those of the scenario"

    @action(
        description="Cancel",
        icon="stop_circle",
        permissions=["analyst"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Cancel this batch?",
            "description": "Its workers stop within seconds, and there will be no file.",
            "form_class": None,
            "form_submit_text": "Cancel the batch",
        },
    )
    def cancel(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        batch = self.row(request, object_id)
        if batch.status in ACTIVE_BATCHES:
            discard(batch.id)
            messages.success(request, "The batch is cancelled.")
        else:
            messages.error(request, "The batch has ended already.")
        return go_to(self.page_of(batch))

    @action(
        description="Delete the file",
        icon="delete",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Delete the file of this batch?",
            "description": "It can not be brought back; the decisions behind it stay.",
            "form_class": None,
            "form_submit_text": "Delete the file",
        },
    )
    def delete_file(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        batch = discard(self.row(request, object_id).id)
        messages.success(request, "The file is deleted.")
        return go_to(self.page_of(batch))


def progress_bar(percent: float) -> SafeString:
    return format_html('<div class="console-progress"><div style="width: {}%"></div></div>', round(percent))
