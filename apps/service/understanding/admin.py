"""Intents in the console: described, given examples, told whether their replies may be sent, and cleaned up."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from apps.service.understanding.examples import MOST_TEXT, NewExample
from apps.service.understanding.models import Intent, IntentExample
from apps.service.understanding.problems import FEW_EXAMPLES, find_problems
from apps.service.understanding.selectors import intents
from apps.service.understanding.services import (
    Added,
    add_examples,
    change_intent,
    create_intent,
    remove_example,
    remove_intent,
)
from console.base import TenantModelAdmin, go_to
from console.forms import ServiceForm
from console.rights import actor_name
from console.site import register
from console.theme import (
    ActionVariant,
    BaseDialogForm,
    UnfoldAdminTextareaWidget,
    action,
    display,
)
from tenancy.models import Role

SHOWN = 200
# In the session: the example that was removed last, until the page has offered it again.
REMOVED = "removed_example"
FIELDS = ("name", "description", "auto_send")


class IntentForm(ServiceForm):
    actor = ""  # set by the page

    class Meta:
        model = Intent
        fields = FIELDS
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 2})}
        help_texts = {"name": "How models and replies name it; never changes."}

    def write(self) -> Intent:
        values = self.cleaned_data
        if self.instance.pk and not self.instance._state.adding:
            return change_intent(
                intent_id=self.instance.pk,
                actor=self.actor,
                description=values["description"],
                auto_send=values["auto_send"],
            )
        return create_intent(actor=self.actor, **values)


class ExamplesForm(forms.Form):
    texts = forms.CharField(
        label="Examples",
        max_length=500_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="One on each line, as customers write it.",
    )

    def clean_texts(self) -> list[str]:
        lines = [line.strip() for line in self.cleaned_data["texts"].splitlines()]
        for number, line in enumerate(lines, start=1):
            if len(line) > MOST_TEXT:
                raise ValidationError(f"line {number} has more than {MOST_TEXT:,} characters; shorten it")
            if "\0" in line:
                raise ValidationError(f"line {number} holds a NUL character; remove it")
        return [line for line in lines if line]


@register(Intent)
class IntentAdmin(TenantModelAdmin):
    who_adds = Role.OPERATOR
    who_changes = Role.OPERATOR
    form = IntentForm
    list_display = ("name", "example_count", "auto_send", "description", "updated_by", "updated_at")
    list_filter = ()
    search_fields = ("name",)
    ordering = ("name",)
    actions = None
    actions_detail = ("remove",)
    change_form_template = "service/intent.html"
    empty_title = "No intents yet"
    empty_text = "An intent is something that customers want. Make the usual ones, and give each some examples."

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return intents().filter(pk__in=super().get_queryset(request))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return FIELDS if obj is None else (*FIELDS, "updated_by", "created_at", "updated_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "updated_by", "created_at", "updated_at") if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if found is not None:
            context |= {
                "intent": found,
                "examples": found.examples.order_by("-id")[:SHOWN],
                "problems": find_problems(found.id),
                "few_examples": FEW_EXAMPLES,
                "examples_form": ExamplesForm(initial={"texts": request.session.pop(REMOVED, "")}),
                "may_change": self.has_operator_permission(request),
            }
        return super().changeform_view(request, object_id, form_url, context)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<uuid:object_id>/examples/", view(self.add_examples_view), name="service_intent_examples"),
            path(
                "<uuid:object_id>/examples/<uuid:example_id>/remove/",
                view(self.remove_example_view),
                name="service_intent_remove_example",
            ),
        ]
        return [*own, *super().get_urls()]

    def add_examples_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        found = self._for_change(request, object_id)
        form = ExamplesForm(request.POST)
        if not form.is_valid():
            messages.error(request, " ".join(str(told) for errors in form.errors.values() for told in errors))
            return HttpResponseRedirect(self.page_of(found))
        given = [NewExample(text, found.name) for text in form.cleaned_data["texts"]]
        try:
            answer = add_examples(examples=given, actor=actor_name(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            _tell(request, given, answer)
        return HttpResponseRedirect(self.page_of(found))

    def remove_example_view(self, request: HttpRequest, object_id: Any, example_id: Any) -> HttpResponse:
        found = self._for_change(request, object_id)
        try:
            request.session[REMOVED] = " ".join(remove_example(example_id=example_id).splitlines())
        except IntentExample.DoesNotExist:
            raise Http404("there is no such example") from None
        messages.success(request, "The example is removed. It stands in the field below; Add examples brings it back.")
        return HttpResponseRedirect(self.page_of(found))

    def _for_change(self, request: HttpRequest, object_id: Any) -> Intent:
        if request.method != "POST" or not self.has_operator_permission(request):
            raise PermissionDenied
        found: Intent = self.row(request, str(object_id))
        return found

    def save_model(self, request: HttpRequest, obj: Intent, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, "The intent is made. Add its examples below.")
        return HttpResponseRedirect(self.page_of(obj))

    @display(description="Examples")
    def example_count(self, found: Any) -> int:
        return int(found.example_count)

    @action(
        description="Remove",
        icon="delete",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Remove this intent and all its examples?",
            "description": "They can not be brought back. A model that knows the intent is no longer believed there.",
            "form_class": None,
            "form_submit_text": "Remove",
        },
    )
    def remove(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        found = self.row(request, object_id)
        remove_intent(intent_id=found.id)
        messages.success(request, f"The intent '{found.name}' is removed.")
        return go_to(self.list_page())


def _tell(request: HttpRequest, given: list[NewExample], answer: Added) -> None:
    known = f"; {len(answer.duplicate)} were there already" if answer.duplicate else ""
    messages.success(request, f"{len(answer.added)} new examples{known}.")
    for number, (_, _, message) in list(answer.refused.items())[:10]:
        messages.error(request, f"'{given[number].text[:80]}' {message}.")
