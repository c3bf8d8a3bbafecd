"""The quarantine: why events could not be stored, and the ways out of it."""

import json
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString

from behavior.judging import judge_events
from behavior.models import Quarantine
from behavior.services import discard, replay
from console.base import TenantModelAdmin, pretty_json
from console.rights import actor_name, has_role
from console.search import choice_field, time_field
from console.site import register
from console.theme import UnfoldAdminTextareaWidget, action, display
from tenancy.models import Role

# What one request can replay well within its time; a larger lot is narrowed by the search bar.
MOST_AT_ONCE = 20_000
STATUSES = tuple((value, value.capitalize()) for value in Quarantine.Status.values)


def in_words(reasons: list[dict[str, str]]) -> str:
    return "; ".join(f"{reason['field']} {reason['message']}" for reason in reasons)


class FixForm(forms.ModelForm):
    """The raw event for editing. It is checked as the pipeline would, so that an edit is not lost to a mistake."""

    fixed = forms.CharField(
        label="Event",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 16, "spellcheck": "false", "class": "console-code"}),
        help_text="Mend the fields that the reasons name, then replay.",
        strip=False,
    )

    class Meta:
        model = Quarantine
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.raw = json.loads(self.instance.raw)
        self.fields["fixed"].initial = json.dumps(self.raw, indent=2)

    def clean_fixed(self) -> dict[str, Any]:
        """The top-level fields that differ from the raw event, as `replay` takes them."""
        try:
            event = json.loads(self.cleaned_data["fixed"])
        except ValueError as error:
            raise ValidationError(f"This is not JSON: {error}") from error
        if not isinstance(event, dict) or not isinstance(self.raw, dict):
            raise ValidationError("An event is a JSON object; one that never was can only be discarded.")
        if dotted := sorted(name for name in event.keys() ^ self.raw.keys() if "." in name):
            raise ValidationError(f"Fields with a dot cannot be edited: {', '.join(dotted)}")
        judged = judge_events([event])
        if judged.reasons:
            raise ValidationError(in_words(judged.reasons[0]))
        missing = object()
        return {
            name: event.get(name)
            for name in event.keys() | self.raw.keys()
            if event.get(name, missing) != self.raw.get(name, missing)
        }


@register(Quarantine)
class QuarantineAdmin(TenantModelAdmin):
    list_title = "Quarantine"
    form = FixForm
    list_display = ("received_at", "reasons_in_words", "source", "message_id", "status_label")
    list_filter = (
        choice_field(title="Status", parameter="status", column="status", options=STATUSES),
        time_field(title="Received from (UTC)", parameter="from", lookup="received_at__gte"),
        time_field(title="until (UTC)", parameter="until", lookup="received_at__lt"),
    )
    search_fields = ("message_id", "source")
    search_help_text = "Message id or source"
    ordering = ("-received_at",)
    actions = ("replay_rows", "discard_rows")
    change_form_template = "console/quarantine_form.html"
    empty_title = "Nothing in quarantine"
    empty_text = (
        "Events that cannot be stored are kept here word for word, with the reasons, for 90 days; those that were "
        "mended or given up, for 30 days after that."
    )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_role(request, Role.OPERATOR) and (obj is None or obj.status == Quarantine.Status.OPEN)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        common = ("status_label", "reasons_in_words", "source", "row_number", "message_id", "received_at", "resolution")
        if self.has_change_permission(request, obj):
            return (*common, "fixed")
        return (*common, "raw_text" if has_role(request, Role.OPERATOR) else "raw_hidden")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return tuple(name for name in self.get_fields(request, obj) if name != "fixed")

    @display(description="Reasons")
    def reasons_in_words(self, row: Quarantine) -> str:
        return in_words(row.reasons)

    @display(description="Status", label={"Open": "warning", "Replayed": "success", "Discarded": None})
    def status_label(self, row: Quarantine) -> str:
        return row.status.capitalize()

    @display(description="Resolved", empty_value="—")
    def resolution(self, row: Quarantine) -> str | None:
        return f"{row.resolved_at:%Y-%m-%d %H:%M} by {row.resolved_by or 'the API'}" if row.resolved_at else None

    @display(description="Event as it came")
    def raw_text(self, row: Quarantine) -> SafeString:
        return pretty_json(json.loads(row.raw))

    @display(description="Event as it came")
    def raw_hidden(self, row: Quarantine) -> str:
        return "Operators can see it; it may hold the raw id of a subject."

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if not self.has_change_permission(request, obj):
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Quarantine, form: forms.ModelForm, change: bool) -> None:
        replay(quarantine_ids=[obj.id], fixes=form.cleaned_data["fixed"], actor=actor_name(request))
        obj.refresh_from_db()

    def response_change(self, request: HttpRequest, obj: Quarantine) -> HttpResponse:
        if obj.status == Quarantine.Status.OPEN:
            messages.error(request, f"The event could not be stored: {in_words(obj.reasons)}")
            return HttpResponseRedirect(self.page_of(obj))
        messages.success(request, "The event is in the log now.")
        return HttpResponseRedirect(self.list_page())

    @action(description="Replay as they are", permissions=["operator"])
    def replay_rows(self, request: HttpRequest, rows: QuerySet[Quarantine]) -> None:
        if ids := self.open_ids(request, rows):
            counts = replay(quarantine_ids=ids, fixes={}, actor=actor_name(request))
            if counts["replayed"]:
                messages.success(request, f"{counts['replayed']} events are in the log now.")
            if counts["open"]:
                messages.warning(request, f"{counts['open']} still cannot be stored; open one to mend it.")

    @action(description="Discard", permissions=["operator"])
    def discard_rows(self, request: HttpRequest, rows: QuerySet[Quarantine]) -> None:
        if ids := self.open_ids(request, rows):
            count = discard(quarantine_ids=ids, actor=actor_name(request))
            messages.success(request, f"{count} events are discarded; they stay readable here.")

    def open_ids(self, request: HttpRequest, rows: QuerySet[Quarantine]) -> list[UUID]:
        """Ids of the open rows among the chosen ones; empty, with a message, where there is nothing to do."""
        ids = list(rows.filter(status=Quarantine.Status.OPEN).values_list("id", flat=True)[: MOST_AT_ONCE + 1])
        if len(ids) > MOST_AT_ONCE:
            messages.error(request, f"More than {MOST_AT_ONCE} events are too many at once; narrow the list first.")
            return []
        if not ids:
            messages.info(request, "All of these are resolved already.")
        return ids
