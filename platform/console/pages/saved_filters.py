"""Saved filters: written once, used by name in requests, scenarios and rules."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.filter_services import FilterInUse, delete_filter, put_filter, uses_of
from catalog.filters import FilterError
from catalog.models import SavedFilter
from console.base import TenantModelAdmin, go_to, pretty_json
from console.forms import PrettyJSONField, ServiceForm
from console.rights import actor_name, has_role
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action, display
from tenancy.models import Role


class SavedFilterForm(ServiceForm):
    actor = ""  # set by the page
    expression = PrettyJSONField(
        help_text='Such as {"range": {"field": "price", "lte": {"param": "max"}}}; {"param": ...} stands for a value.'
    )
    parameters = PrettyJSONField(
        required=False,
        initial=dict,
        help_text='By name: {"max": {"type": "number", "default": 80}}. '
        "Types: text, number, boolean, time, texts, numbers.",
    )

    class Meta:
        model = SavedFilter
        fields = ("key", "description", "expression", "parameters")

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if self.instance._state.adding and SavedFilter.objects.filter(key=key).exists():
            raise ValidationError("There is a saved filter of this key; open it instead.")
        return key

    def write(self) -> SavedFilter:
        try:
            return put_filter(
                key=self.cleaned_data.get("key") or self.instance.key,
                description=self.cleaned_data["description"],
                expression=self.cleaned_data["expression"],
                parameters=self.cleaned_data["parameters"] or {},
                actor=self.actor,
            )
        except (FilterError, FilterInUse) as error:
            raise ValidationError(str(error)) from error


@register(SavedFilter)
class SavedFilterAdmin(TenantModelAdmin):
    who_adds = who_changes = Role.OPERATOR
    form = SavedFilterForm
    list_display = ("key", "description", "parameter_list", "updated_by", "updated_at")
    search_fields = ("key", "description")
    search_help_text = "Key or description"
    ordering = ("key",)
    actions = None
    actions_detail = ("remove",)
    empty_title = "No saved filters yet"
    empty_text = 'A filter that is saved under a key is used by that key: {"saved": "cheap-shoes", "params": {...}}.'

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return ("key", "description", "expression", "parameters")
        if has_role(request, Role.OPERATOR):
            return ("key", "description", "expression", "parameters", "used_in", "updated_by", "updated_at")
        return ("key", "description", "expression_text", "parameters_text", "used_in", "updated_by", "updated_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        written = ("description", "expression", "parameters") if obj else ("key", "description")
        return tuple(name for name in self.get_fields(request, obj) if obj and name not in written)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if not has_role(request, Role.OPERATOR):
            return super().get_form(request, obj, change, **kwargs | {"form": forms.ModelForm})
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def save_model(self, request: HttpRequest, obj: SavedFilter, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    @display(description="Parameters")
    def parameter_list(self, saved: SavedFilter) -> str:
        return ", ".join(f"{name}: {each['type']}" for name, each in saved.parameters.items()) or "—"

    @display(description="Expression")
    def expression_text(self, saved: SavedFilter) -> SafeString:
        return pretty_json(saved.expression)

    @display(description="Parameters")
    def parameters_text(self, saved: SavedFilter) -> SafeString:
        return pretty_json(saved.parameters)

    @display(description="Used in")
    def used_in(self, saved: SavedFilter) -> SafeString | str:
        uses = uses_of(saved.key)
        if not uses:
            return "Nothing yet"
        rows = format_html_join("", "<li>{}</li>", ((use.place,) for use in uses))
        return format_html('<ul class="console-list">{}</ul>', rows)

    @action(
        description="Remove",
        icon="delete",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Remove this filter?",
            "description": "Only a filter that nothing uses can be removed. Requests that name it are then refused.",
            "form_class": None,
            "form_submit_text": "Remove",
        },
    )
    def remove(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        saved = self.row(request, object_id)
        try:
            delete_filter(key=saved.key)
        except FilterInUse as error:
            messages.error(request, str(error))
            return go_to(self.page_of(saved))
        messages.success(request, f"'{saved.key}' is removed.")
        return go_to(self.list_page())
