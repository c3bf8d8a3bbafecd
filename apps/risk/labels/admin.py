"""Labels in the console: what was said of transactions, newest first, and what an operator says of them."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from apps.risk.labels.form import LabelFileForm, LabelForm
from apps.risk.transactions.models import Label
from console.base import LogAdmin
from console.rights import actor_name
from console.search import SearchField
from console.site import register
from console.theme import action, display
from tenancy.models import Role

KIND_COLOURS = {"Fraud": "danger", "Chargeback": "danger", "False alarm": "success", "Genuine": "success"}
PROBLEMS_SHOWN = 200


class TransactionField(SearchField):
    title = "Transaction"
    parameter_name = "transaction"

    def condition(self, text: str) -> Q:
        return Q(transaction_id=text)


@register(Label)
class LabelAdmin(LogAdmin):
    list_title = "Labels"
    who_adds = Role.OPERATOR
    form = LabelForm
    list_display = ("transaction_id", "kind_label", "known_at", "source", "actor", "note", "created_at")
    list_filter = (TransactionField,)
    ordering = ("-id",)
    actions_list = ("from_file",)
    empty_title = "No labels yet"
    empty_text = "A label says what became known of a transaction: fraud, a chargeback, or that it was genuine."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        said = ("transaction_id", "kind", "known_at", "note")
        return said if obj is None else (*said, "source", "actor", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs | {"form": forms.ModelForm})
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def save_model(self, request: HttpRequest, obj: Label, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    def response_add(self, request: HttpRequest, obj: Label, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, f"{obj.transaction_id} is labelled: {obj.get_kind_display()}.")
        return HttpResponseRedirect(self.list_page())

    @display(description="Kind", label=KIND_COLOURS)
    def kind_label(self, label: Label) -> str:
        return label.get_kind_display()

    @action(description="From a file", icon="upload_file", permissions=["operator"])
    def from_file(self, request: HttpRequest) -> HttpResponse:
        form = LabelFileForm(request.POST, request.FILES) if request.method == "POST" else LabelFileForm()
        report = form.record(actor_name(request)) if form.is_valid() else None
        context = {
            **self.admin_site.each_context(request),
            **self.frame(title="Labels from a file"),
            "opts": self.opts,
            "form": form,
            "report": report,
            "problems": sorted(report.problems.items())[:PROBLEMS_SHOWN] if report else [],
        }
        return TemplateResponse(request, "risk/labels_file.html", context)
