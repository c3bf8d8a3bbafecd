"""Webhooks, and what was sent to them."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from console.base import TenantModelAdmin, go_to
from console.forms import ServiceForm
from console.rights import actor_name
from console.search import SearchField, choice_field
from console.shown_once import shown_once_dialog, shown_once_page
from console.site import register
from console.theme import (
    ActionVariant,
    BaseDialogForm,
    InfinitePaginator,
    UnfoldAdminCheckboxSelectMultipleWidget,
    action,
    display,
)
from tenancy.models import Role
from webhooks import services
from webhooks.events import webhook_events
from webhooks.models import DeliveryStatus, Webhook, WebhookDelivery

ONLY_NOW = "Copy the secret now: it checks the signature of each message and cannot be shown again."
DELIVERY_COLOURS = {"Waiting": "info", "Delivered": "success", "Failed": "danger"}
DELIVERIES_SHOWN = 50


class WebhookForm(ServiceForm):
    actor = ""  # set by the page
    events = forms.MultipleChoiceField(
        choices=lambda: [(event, f"{event}: {label}") for event, label in webhook_events().items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = Webhook
        fields = ("url", "events")
        labels = {"url": "Address"}
        help_texts = {"url": "Begins with https://; each message is sent there as JSON by POST."}

    def write(self) -> Webhook:
        if not self.instance._state.adding:
            return services.change_events(webhook_id=self.instance.id, events=self.cleaned_data["events"])
        made: Any
        made, secret = services.create_webhook(actor=self.actor, **self.cleaned_data)
        made.raw_secret = secret
        return made


@register(Webhook)
class WebhookAdmin(TenantModelAdmin):
    who_adds = who_changes = Role.OPERATOR
    form = WebhookForm
    list_display = ("url", "event_list", "status_label", "created_by", "created_at")
    search_fields = ("url",)
    ordering = ("url",)
    actions = None
    actions_detail = ("pause", "resume", "renew", "remove")
    change_form_template = "console/webhook.html"
    empty_title = "No webhooks yet"
    empty_text = (
        "A webhook is told of what happens as it happens. Each message is signed, and repeated until it arrives."
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ("url", "events")
        events = "events" if self.has_change_permission(request, obj) else "event_list"
        return ("url", events, "status_label", "created_by", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return tuple(name for name in self.get_fields(request, obj) if name != "events") if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if not self.has_change_permission(request, obj):
            return super().get_form(request, obj, change, **kwargs | {"form": forms.ModelForm})
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        webhook = self.get_object(request, str(object_id))
        hidden = {"resume"} if webhook is None or webhook.is_active else {"pause"}
        return [
            each
            for each in super().get_actions_detail(request, object_id)
            if each.action_name.removeprefix("webhooks_webhook_") not in hidden
        ]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        webhook = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if webhook is not None:
            newest = webhook.deliveries.order_by("-created_at", "-id")[:DELIVERIES_SHOWN]
            context |= {"deliveries": [(each, DELIVERY_COLOURS[each.get_status_display()]) for each in newest]}
        return super().changeform_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Webhook, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return shown_once_page(request, self, title="Secret of the webhook", value=obj.raw_secret, explanation=ONLY_NOW)

    @display(description="Told of")
    def event_list(self, webhook: Webhook) -> str:
        return ", ".join(webhook.events)

    @display(description="Status", label={"On": "success", "Failing": "danger", "Paused": "warning"})
    def status_label(self, webhook: Webhook) -> str:
        if not webhook.is_active:
            return "Paused"
        return "Failing" if webhook.failures else "On"

    @action(
        description="Pause",
        icon="pause",
        permissions=["operator"],
        dialog={
            "title": "Pause this webhook?",
            "description": "What waits is kept; what happens meanwhile is not kept for it.",
            "form_class": None,
            "form_submit_text": "Pause",
        },
    )
    def pause(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.switch(request, object_id, is_active=False, words="The webhook is paused.")

    @action(
        description="Resume",
        icon="play_arrow",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Let this webhook go on?",
            "description": "What waits is sent at once.",
            "form_class": None,
            "form_submit_text": "Resume",
        },
    )
    def resume(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.switch(request, object_id, is_active=True, words="The webhook is on.")

    def switch(self, request: HttpRequest, object_id: str, *, is_active: bool, words: str) -> HttpResponse:
        webhook = self.row(request, object_id)
        services.switch_webhook(webhook_id=webhook.id, is_active=is_active)
        messages.success(request, words)
        return go_to(self.page_of(webhook))

    @action(
        description="New secret",
        icon="autorenew",
        permissions=["operator"],
        dialog={
            "title": "Make a new secret?",
            "description": "Messages are signed with it from now on; the old one is forgotten.",
            "form_class": None,
            "form_submit_text": "New secret",
        },
    )
    def renew(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        secret = services.renew_secret(webhook_id=self.row(request, object_id).id)
        return shown_once_dialog(request, self, title="New secret", value=secret, explanation=ONLY_NOW)

    @action(
        description="Remove",
        icon="delete",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Remove this webhook?",
            "description": "What waits is not sent, and the log of what was sent goes too.",
            "form_class": None,
            "form_submit_text": "Remove",
        },
    )
    def remove(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        services.remove_webhook(webhook_id=self.row(request, object_id).id)
        messages.success(request, "The webhook is removed.")
        return go_to(self.list_page())


class EventField(SearchField):
    title = "Event"
    parameter_name = "event"
    kind = "select"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Applications register theirs after the pages are imported.
        self.options = tuple(webhook_events().items())

    def condition(self, text: str) -> Q:
        return Q(event=text)


@register(WebhookDelivery)
class WebhookDeliveryAdmin(TenantModelAdmin):
    list_title = "Webhook deliveries"
    paginator = InfinitePaginator
    sortable_by = ()
    list_display = ("created_at", "event", "webhook", "status_label", "attempts", "answer_label", "tried_at")
    list_filter = (
        choice_field(title="Status", parameter="status", column="status", options=tuple(DeliveryStatus.choices)),
        EventField,
    )
    list_select_related = ("webhook",)
    ordering = ("-created_at", "-id")
    actions = ("replay_selected",)
    actions_detail = ("replay",)
    fields = readonly_fields = (
        *("webhook", "event", "status_label", "attempts", "answer_label"),
        *("created_at", "tried_at", "next_attempt_at", "body_text"),
    )
    empty_title = "Nothing was sent yet"
    empty_text = "Each message to a webhook is kept here for 30 days, with what its receiver answered."

    @display(description="Status", label=DELIVERY_COLOURS)
    def status_label(self, delivery: WebhookDelivery) -> str:
        return delivery.get_status_display()

    @display(description="Answer")
    def answer_label(self, delivery: WebhookDelivery) -> str:
        return delivery.answer or "—"

    @display(description="Message")
    def body_text(self, delivery: WebhookDelivery) -> SafeString:
        return format_html('<pre class="console-json">{}</pre>', delivery.body)

    @action(
        description="Replay",
        icon="replay",
        permissions=["operator"],
        dialog={
            "title": "Send this once more?",
            "description": "The receiver knows it by its id if it came before.",
            "form_class": None,
            "form_submit_text": "Replay",
        },
    )
    def replay(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        delivery = self.row(request, object_id)
        services.replay_deliveries(delivery_ids=[delivery.id])
        messages.success(request, "It is on its way once more.")
        return go_to(self.page_of(delivery))

    @action(description="Replay the selected deliveries", permissions=["operator"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        count = services.replay_deliveries(delivery_ids=list(queryset.values_list("id", flat=True)))
        messages.success(request, f"{count} are on their way once more.")
