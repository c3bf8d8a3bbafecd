"""Items of the catalogue: found, mended, hidden."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from rest_framework import serializers

from catalog.models import Item
from catalog.services import WRITTEN, patch_item
from console.export import ExportedAdmin
from console.forms import PrettyJSONField, ServiceForm
from console.search import SearchField, choice_field
from console.services import set_items
from console.site import register
from console.theme import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget, action, display
from tenancy.models import Role

YES_NO = (("true", "Yes"), ("false", "No"))


class CategoryField(SearchField):
    title = "Category"
    parameter_name = "category"

    def condition(self, text: str) -> Q:
        return Q(categories__contains=[text])


class ItemForm(ServiceForm):
    attributes = PrettyJSONField(required=False, help_text=Item._meta.get_field("attributes").help_text)

    class Meta:
        model = Item
        fields = WRITTEN
        widgets = {
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 4}),
            "categories": UnfoldAdminTextInputWidget,
        }
        help_texts = {
            "categories": "Separated by commas.",
            "available": "It can be had now.",
            "hidden": "It is never shown, though its events still count.",
        }

    def write(self) -> Item:
        changes = {name: self.cleaned_data[name] for name in self.changed_data}
        if "attributes" in changes:
            removed = dict.fromkeys(self.initial["attributes"].keys() - (changes["attributes"] or {}).keys())
            changes["attributes"] = removed | (changes["attributes"] or {})
        try:
            return patch_item(item_id=self.instance.item_id, changes=changes)
        except serializers.ValidationError as error:
            raise ValidationError(_in_words(error.detail)) from error


def _in_words(detail: Any) -> list[str]:
    """The API's errors, which may be nested, as one line for each."""
    if isinstance(detail, dict):
        return [f"{name}: {line}" for name, inner in detail.items() for line in _in_words(inner)]
    return [str(line) for line in detail] if isinstance(detail, list) else [str(detail)]


@register(Item)
class ItemAdmin(ExportedAdmin):
    who_changes = Role.OPERATOR
    form = ItemForm
    list_display = ("item_id", "title", "category_list", "brand", "price_text", "status_label", "updated_at")
    list_filter = (
        CategoryField,
        choice_field(title="Available", parameter="available", column="available", options=YES_NO),
        choice_field(title="Hidden", parameter="hidden", column="hidden", options=YES_NO),
    )
    search_fields = ("item_id", "title", "brand")
    search_help_text = "Title, brand or id"
    ordering = ("item_id",)
    actions = ("hide", "show", "set_available", "set_unavailable")
    fields = ("item_id", *ItemForm.Meta.fields, "created_at", "updated_at")
    readonly_fields = ("item_id", "created_at", "updated_at")
    export_fields = (
        "item_id",
        "title",
        "category_list",
        "brand",
        "price",
        "currency",
        "available",
        "hidden",
        "updated_at",
    )
    empty_title = "No items yet"
    empty_text = (
        "Send the catalogue to PUT /api/v1/items/{id} or POST /api/v1/items/batch, or import a file with: "
        "python manage.py import_items FILE --tenant SLUG. Events may name items that are not here yet."
    )

    @display(description="Status", label={"Shown": "success", "Not available": "warning", "Hidden": None})
    def status_label(self, item: Item) -> str:
        if item.hidden:
            return "Hidden"
        return "Shown" if item.available else "Not available"

    @display(description="Categories")
    def category_list(self, item: Item) -> str:
        return ", ".join(item.categories) or "—"

    @display(description="Price", ordering="price")
    def price_text(self, item: Item) -> str:
        return "—" if item.price is None else f"{item.price} {item.currency}".strip()

    def save_model(self, request: HttpRequest, obj: Item, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    @action(description="Hide", permissions=["operator"])
    def hide(self, request: HttpRequest, items: QuerySet[Item]) -> None:
        self.changed(request, set_items(items, hidden=True), "hidden")

    @action(description="Show again", permissions=["operator"])
    def show(self, request: HttpRequest, items: QuerySet[Item]) -> None:
        self.changed(request, set_items(items, hidden=False), "shown again")

    @action(description="Mark as available", permissions=["operator"])
    def set_available(self, request: HttpRequest, items: QuerySet[Item]) -> None:
        self.changed(request, set_items(items, available=True), "available")

    @action(description="Mark as not available", permissions=["operator"])
    def set_unavailable(self, request: HttpRequest, items: QuerySet[Item]) -> None:
        self.changed(request, set_items(items, available=False), "marked as not available")

    def changed(self, request: HttpRequest, count: int, what: str) -> None:
        messages.success(request, f"{count} item{'' if count == 1 else 's'} {what}.")
