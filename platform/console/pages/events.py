"""The event log: searched, looked at, never changed."""

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from behavior.models import Consent, Event, Import
from console.base import LogAdmin, pretty_json
from console.export import ExportedAdmin
from console.figures import amount
from console.search import DecisionField, ItemField, SubjectField, TypeField, time_field
from console.site import register
from console.theme import display
from tenancy.secrets import public_subject_id

RECEIVED_FROM = time_field(title="Received from (UTC)", parameter="from", lookup="received_at__gte")
RECEIVED_UNTIL = time_field(title="until (UTC)", parameter="until", lookup="received_at__lt")


@register(Event)
class EventAdmin(ExportedAdmin, LogAdmin):
    list_display = ("occurred_at", "type", "item_id", "subject", "amount", "source", "decision")
    list_filter = (SubjectField, ItemField, TypeField, DecisionField, RECEIVED_FROM, RECEIVED_UNTIL)
    # Ids grow with the time of receipt and stand in the primary key, so the newest page costs no sort.
    ordering = ("-event_id",)
    fields = (
        "event_id",
        "type",
        "item_id",
        "subject",
        "occurred_at",
        "received_at",
        "time_quality",
        "amount",
        "quantity",
        "decision",
        "source",
        "consent_words",
        "properties_text",
    )
    readonly_fields = fields
    export_fields = (
        "event_id",
        "received_at",
        "occurred_at",
        "type",
        "item_id",
        "public_subject",
        "value",
        "quantity",
        "currency",
        "decision_id",
        "source",
    )
    empty_title = "No events yet"
    empty_text = "Events show here as soon as a client sends them to POST /api/v1/events, or after an import."

    @display(description="Subject")
    def subject(self, event: Event) -> SafeString:
        return format_html('<span class="console-mono">{}</span>', self.public_subject(event))

    def public_subject(self, event: Event) -> str:
        return public_subject_id(bytes(event.subject_key))

    @display(description="Value")
    def amount(self, event: Event) -> str:
        return amount(event.value, event.currency or "")

    @display(description="Decision", empty_value="—")
    def decision(self, event: Event) -> SafeString | None:
        if event.decision_id is None:
            return None
        url = reverse("admin:decisions_decision_change", args=[event.decision_id])
        return format_html('<a class="console-link console-mono" href="{}">…{}</a>', url, str(event.decision_id)[-8:])

    @display(description="Consent")
    def consent_words(self, event: Event) -> str:
        return ", ".join(purpose.name.lower() for purpose in Consent if event.consent & purpose) or "none"

    @display(description="Properties")
    def properties_text(self, event: Event) -> SafeString | str:
        return pretty_json(event.properties) if event.properties else "—"


@register(Import)
class ImportAdmin(LogAdmin):
    list_display = (
        "file_name",
        "status_label",
        "rows",
        "ok",
        "duplicate",
        "quarantined",
        "rejected",
        "started_at",
        "finished_at",
    )
    ordering = ("-started_at",)
    fields = (*list_display, "clamped", "mapping_text")
    readonly_fields = fields
    empty_title = "No imports yet"
    empty_text = "Bring a file in with: python manage.py import_events FILE --tenant SLUG --map ..."

    @display(description="Status", label={"Running": "info", "Completed": "success"})
    def status_label(self, one: Import) -> str:
        return one.status.capitalize()

    @display(description="Columns of the file")
    def mapping_text(self, one: Import) -> SafeString:
        return pretty_json(one.mapping)

    def refreshes(self, request: HttpRequest, object_id: str | None) -> bool:
        return self.get_queryset(request).filter(status=Import.Status.RUNNING).exists()
