"""API keys of the tenant's client systems."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import localize

from console.base import TenantModelAdmin, go_to
from console.rights import actor_name
from console.shown_once import shown_once_dialog, shown_once_page
from console.site import register
from console.theme import (
    ActionVariant,
    BaseDialogForm,
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    action,
    display,
)
from tenancy.api_scopes import API_SCOPES
from tenancy.models import ApiKey, Role
from tenancy.services import create_api_key, revoke_api_key, rotate_api_key

ONLY_NOW = "Copy the key now: it is kept only as a hash and cannot be shown again."


class NewKeyForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        choices=[(scope, f"{scope}: {meaning}") for scope, meaning in API_SCOPES.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Give a client system no more than it needs.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at")
        help_texts = {"name": "The system that will use the key.", "expires_at": "Leave empty for a key without end."}

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at and expires_at <= timezone.now():
            raise ValidationError("This moment has passed; choose a later one.")
        return expires_at


class RotateForm(BaseDialogForm):
    days = forms.IntegerField(
        label="Days that the old key still works",
        initial=7,
        min_value=0,
        max_value=90,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def clean_days(self) -> int:
        days = self.cleaned_data["days"]
        return 7 if days is None else days


@register(ApiKey)
class ApiKeyAdmin(TenantModelAdmin):
    who_sees = who_adds = Role.ADMIN
    list_display = ("name", "shown_prefix", "status_label", "scope_list", "last_used", "expires_at")
    search_fields = ("name", "prefix")
    ordering = ("-created_at",)
    actions = None
    form = NewKeyForm
    actions_detail = ("rotate", "revoke")
    empty_title = "No API keys yet"
    empty_text = "A client system needs a key to send events and to ask for recommendations. Add one to begin."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ("name", "scopes", "expires_at")
        return (
            *("name", "shown_prefix", "status_label", "scope_list", "created_at", "created_by"),
            *("last_used", "expires_at", "revoked_at"),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        key = self.get_object(request, str(object_id))
        return [] if key is None or key.revoked_at else super().get_actions_detail(request, object_id)

    @display(description="Key")
    def shown_prefix(self, key: ApiKey) -> str:
        return f"sk_{key.prefix}_…"

    @display(
        description="Status",
        label={"Live": "success", "Being replaced": "warning", "Expired": "danger", "Revoked": "danger"},
    )
    def status_label(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "Revoked"
        if key.expires_at and key.expires_at <= timezone.now():
            return "Expired"
        return "Being replaced" if key.replaced_by else "Live"

    @display(description="Scopes")
    def scope_list(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description="Last used", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> str:
        return localize(key.last_used_at) or "Never"

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        key, obj.raw_key = create_api_key(
            name=obj.name, scopes=obj.scopes, expires_at=obj.expires_at, created_by=actor_name(request)
        )
        obj.id, obj.prefix = key.id, key.prefix

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return shown_once_page(request, self, title=f"API key for {obj.name}", value=obj.raw_key, explanation=ONLY_NOW)

    @action(
        description="Rotate",
        icon="autorenew",
        permissions=["admin"],
        dialog={
            "title": "Rotate this key",
            "description": "Makes a new key with the same scopes. The old one keeps working for a while, so that the "
            "client system can change over.",
            "form_class": RotateForm,
            "form_submit_text": "Rotate",
        },
    )
    def rotate(self, request: HttpRequest, form: RotateForm, object_id: str) -> HttpResponse:
        overlap = timedelta(days=form.cleaned_data["days"])
        try:
            key_id = self.row(request, object_id).pk
            key, raw_key = rotate_api_key(key_id=key_id, overlap=overlap, created_by=actor_name(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            return go_to(self.list_page())
        return shown_once_dialog(
            request, self, title=f"New API key for {key.name}", value=raw_key, explanation=ONLY_NOW
        )

    @action(
        description="Revoke",
        icon="block",
        permissions=["admin"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Revoke this key?",
            "description": "Calls with this key are refused from now on. This cannot be undone.",
            "form_class": None,
            "form_submit_text": "Revoke",
        },
    )
    def revoke(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        revoke_api_key(key_id=self.row(request, object_id).pk)
        messages.success(request, "The key is revoked.")
        return go_to(self.list_page())
