"""Rules in the console: written, previewed, published, and brought back to what they were."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from apps.recommendation.models import Rule, RuleChange, RuleKind, RuleStatus
from apps.recommendation.rules.form import CONDITIONAL_INPUTS, RuleForm
from apps.recommendation.rules.selectors import changes_of, differences, of_status
from apps.recommendation.rules.services import publish_rule, remove_rule, restore_rule, unpublish_rule
from apps.recommendation.rules.view import preview_context
from apps.recommendation.rules.warnings import warnings_of
from console.base import TenantModelAdmin, go_to, pretty_json
from console.rights import actor_name, has_role
from console.search import SearchField, choice_field
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action, display
from decisions.rule_editing import RuleRemoved
from tenancy.models import Role

HISTORY_SHOWN = 50
STATUS_COLOURS = {"Draft": None, "Scheduled": "info", "Live": "success", "Ended": "warning", "Removed": "danger"}
# Which buttons make sense in which status.
BUTTONS = {
    RuleStatus.DRAFT: {"publish", "remove"},
    RuleStatus.SCHEDULED: {"unpublish", "remove"},
    RuleStatus.LIVE: {"unpublish", "remove"},
    RuleStatus.ENDED: {"unpublish", "remove"},
    RuleStatus.REMOVED: set(),
}


class StatusField(SearchField):
    title = "Status"
    parameter_name = "status"
    kind = "select"
    options = tuple((str(value), str(name)) for value, name in RuleStatus.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return super().queryset(request, queryset) if self.text() else queryset.filter(removed_at=None)

    def condition(self, text: str) -> Q:
        if text not in RuleStatus.values:
            raise ValueError("is not a status of a rule")
        return of_status(text)


@register(Rule)
class RuleAdmin(TenantModelAdmin):
    who_adds = who_changes = Role.OPERATOR
    form = RuleForm
    list_display = (
        "name",
        "kind_name",
        "status_label",
        "scenario_list",
        "starts_at",
        "ends_at",
        "priority",
        "updated_by",
    )
    list_filter = (
        StatusField,
        choice_field(
            title="Kind",
            parameter="kind",
            column="kind",
            options=tuple((str(value), str(value).capitalize()) for value in RuleKind.values),
        ),
    )
    search_fields = ("name", "key")
    search_help_text = "Name or key"
    ordering = ("-priority", "key")
    actions = None
    actions_detail = ("publish", "unpublish", "remove")
    conditional_fields = CONDITIONAL_INPUTS
    change_form_template = "console/rule.html"
    empty_title = "No rules yet"
    empty_text = "A rule pins, boosts, buries, hides, caps, promotes or filters items in the lists of some scenarios."

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_role(request, Role.OPERATOR) and (obj is None or obj.removed_at is None)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            shown = ("name", "key", "kind_name", "status_label", "scenario_list", "target_text", "values_text")
            return [(None, {"fields": (*shown, "condition_text", "starts_at", "ends_at", "priority", "notes")})]
        values = ("position", "factor", "share", "attribute", "limit", "within")
        named = ("name", "kind", *values, "scenarios", "priority", "notes")
        return [
            ("Rule", {"fields": (*named, "key", "seen_version") if obj else named}),
            ("Items", {"fields": ("target_ids", "target_categories", "target_brands", "target")}),
            ("When", {"fields": ("starts_at", "ends_at", "weekdays", "hour_from", "hour_until")}),
            ("For which requests", {"fields": ("query", "category", "context")}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None or self.has_change_permission(request, obj):
            return ("key",)
        return tuple(name for _, options in self.get_fieldsets(request, obj) for name in options["fields"])

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if not self.has_change_permission(request, obj):
            return super().get_form(request, obj, change, **kwargs | {"form": forms.ModelForm})
        # The form's own inputs are no fields of the model, so the theme must not look for them there.
        form = super().get_form(request, obj, change, **kwargs | {"fields": RuleForm.Meta.fields})
        form.actor = actor_name(request)
        return form

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        rule = self.get_object(request, str(object_id))
        wanted = BUTTONS[rule.status] if rule else set()
        return [
            each for each in super().get_actions_detail(request, object_id) if each.action_name.split("_")[-1] in wanted
        ]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        rule = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if rule is not None and request.method == "GET":
            context |= {
                "rule": rule,
                "status": RuleStatus(rule.status).label,
                "status_type": STATUS_COLOURS[str(RuleStatus(rule.status).label)],
                "rule_warnings": [] if rule.removed_at else warnings_of(rule),
                "history": [(change, differences(change)) for change in changes_of(rule.id)[:HISTORY_SHOWN]],
                "may_restore": self.has_operator_permission(request),
                **preview_context(rule, request.GET),
            }
        return super().changeform_view(request, object_id, form_url, context)

    def get_urls(self) -> list[URLPattern]:
        restore = path(
            "<uuid:object_id>/restore/<int:version>/",
            self.admin_site.admin_view(self.restore_view),
            name="recommendation_rule_restore",
        )
        return [restore, *super().get_urls()]

    def restore_view(self, request: HttpRequest, object_id: Any, version: int) -> HttpResponse:
        if request.method != "POST" or not self.has_operator_permission(request):
            raise PermissionDenied
        rule = self.row(request, str(object_id))
        try:
            restore_rule(rule_id=rule.id, version=version, actor=actor_name(request))
        except RuleChange.DoesNotExist:
            raise Http404("the rule has no such version") from None
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, f"The rule has the contents of version {version} again.")
        return HttpResponseRedirect(self.page_of(rule))

    def save_model(self, request: HttpRequest, obj: Rule, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, "The rule is a draft. Preview it below, then publish it.")
        return HttpResponseRedirect(self.page_of(obj))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        acts = "It acts within a second or two." if obj.is_active else "It is a draft."
        messages.success(request, f"The rule is saved. {acts}")
        return HttpResponseRedirect(self.page_of(obj))

    @display(description="Kind")
    def kind_name(self, rule: Rule) -> str:
        return rule.kind.capitalize()

    @display(description="Status", label=STATUS_COLOURS)
    def status_label(self, rule: Rule) -> str:
        return str(RuleStatus(rule.status).label)

    @display(description="Scenarios")
    def scenario_list(self, rule: Rule) -> str:
        return ", ".join(rule.scenarios) or "All"

    @display(description="Target")
    def target_text(self, rule: Rule) -> Any:
        return pretty_json(rule.target) if rule.target is not None else "All items"

    @display(description="Values")
    def values_text(self, rule: Rule) -> str:
        return ", ".join(f"{name} {value}" for name, value in rule.values.items()) or "—"

    @display(description="Condition")
    def condition_text(self, rule: Rule) -> Any:
        return pretty_json(rule.condition) if rule.condition else "Any request"

    @action(
        description="Publish",
        icon="publish",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Publish this rule?",
            "description": "It acts on lists within a second or two, from its start until its end.",
            "form_class": None,
            "form_submit_text": "Publish",
        },
    )
    def publish(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.do(request, object_id, publish_rule, "The rule is published.")

    @action(
        description="Unpublish",
        icon="unpublished",
        permissions=["operator"],
        dialog={
            "title": "Make this rule a draft again?",
            "description": "It stops acting within a second or two.",
            "form_class": None,
            "form_submit_text": "Unpublish",
        },
    )
    def unpublish(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.do(request, object_id, unpublish_rule, "The rule is a draft again.")

    @action(
        description="Remove",
        icon="delete",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Remove this rule?",
            "description": "It stops acting within a second or two. Its history stays, and a version can be restored.",
            "form_class": None,
            "form_submit_text": "Remove",
        },
    )
    def remove(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.do(request, object_id, remove_rule, "The rule is removed; its page keeps its history.")

    def do(self, request: HttpRequest, object_id: str, service: Any, done: str) -> HttpResponse:
        rule = self.row(request, object_id)
        try:
            service(rule_id=rule.id, actor=actor_name(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        except RuleRemoved as error:
            messages.error(request, str(error))
        else:
            messages.success(request, done)
        return go_to(self.page_of(rule))
