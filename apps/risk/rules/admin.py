"""The desk's rules in the console: written with a live check, tried on history, published, brought back."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path

from apps.risk.back_tests.services import TooManyBackTests, request_back_test
from apps.risk.rules.counting import hits_since
from apps.risk.rules.form import RiskRuleForm, back_test_form
from apps.risk.rules.models import RiskAction, RiskRule, RiskRuleChange, RiskRuleMode
from apps.risk.rules.serializers import NO_HITS, since_hits
from apps.risk.rules.services import FIELDS, remove_rule, restore_rule, set_mode
from apps.risk.rules.view import (
    check_context,
    dry_run_context,
    fields_context,
    is_under_way,
    newest_back_test,
    rule_context,
)
from console.base import TenantModelAdmin, go_to
from console.rights import actor_name, has_role
from console.search import choice_field
from console.site import register
from console.theme import ActionVariant, BaseDialogForm, action, display
from decisions.rule_editing import RuleRemoved
from tenancy.models import Role

MODE_COLOURS = {"Draft": None, "Shadow": "info", "Live": "success", "Removed": "danger"}
ACTION_COLOURS = {"Approve": "success", "Review": "warning", "Decline": "danger", "Alert": "info"}
# Which buttons make sense in which mode.
BUTTONS = {
    RiskRuleMode.DRAFT: {"shadow", "publish", "remove"},
    RiskRuleMode.SHADOW: {"publish", "unpublish", "remove"},
    RiskRuleMode.LIVE: {"shadow", "unpublish", "remove"},
}


@register(RiskRule)
class RiskRuleAdmin(TenantModelAdmin):
    list_title = "Rules"
    who_adds = who_changes = Role.OPERATOR
    form = RiskRuleForm
    list_display = ("name", "mode_label", "action_label", "hits", "severity", "priority", "expression", "updated_by")
    list_filter = (
        choice_field(
            title="Mode",
            parameter="mode",
            column="mode",
            options=tuple((str(value), str(value).capitalize()) for value in RiskRuleMode.values),
        ),
        choice_field(title="Action", parameter="action", column="action", options=tuple(RiskAction.choices)),
    )
    search_fields = ("name", "key")
    search_help_text = "Name or key"
    ordering = ("-priority", "key")
    actions = None
    actions_detail = ("shadow", "publish", "unpublish", "remove")
    change_form_template = "risk/rule.html"
    empty_title = "No rules yet"
    empty_text = "A rule is a condition on a transaction, and what it asks for: approve, review, decline or an alert."

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """The list leaves out what was removed; its page stays."""
        place = request.resolver_match
        on_a_page = place is not None and "object_id" in place.kwargs
        found = super().get_queryset(request)
        return found if on_a_page else found.filter(removed_at=None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_role(request, Role.OPERATOR) and (obj is None or obj.removed_at is None)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        what = ("name", "expression", "action", "severity", "priority", "description")
        seen = ("seen_version",) if obj is not None and self.has_change_permission(request, obj) else ()
        return [("Rule", {"fields": (*what, *seen)}), ("When", {"fields": ("starts_at", "ends_at")})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None or self.has_change_permission(request, obj) else FIELDS

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if not self.has_change_permission(request, obj):
            return super().get_form(request, obj, change, **kwargs | {"form": forms.ModelForm})
        form = super().get_form(request, obj, change, **kwargs)
        form.actor = actor_name(request)
        return form

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        rule = self.get_object(request, str(object_id))
        wanted = BUTTONS[RiskRuleMode(rule.mode)] if rule and not rule.removed_at else set()
        return [
            each for each in super().get_actions_detail(request, object_id) if each.action_name.split("_")[-1] in wanted
        ]

    def refreshes(self, request: HttpRequest, object_id: str | None) -> bool:
        rule = self.get_object(request, object_id) if object_id else None
        return rule is not None and is_under_way(newest_back_test(rule))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        # Read once for the whole list.
        self.counted = hits_since(since_hits())
        return super().changelist_view(request, extra_context)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        rule = self.get_object(request, object_id) if object_id else None
        context = (extra_context or {}) | fields_context()
        if rule is not None and request.method == "GET":
            context |= rule_context(rule) | {
                "mode": self.mode_name(rule),
                "mode_type": MODE_COLOURS[self.mode_name(rule)],
                "hits_7d": hits_since(since_hits()).get(rule.key, NO_HITS),
                "may_restore": self.has_operator_permission(request),
                "may_test": self.has_analyst_permission(request),
                **dry_run_context(rule, request.GET.get("transaction", "")),
            }
        return super().changeform_view(request, object_id, form_url, context)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("check/", view(self.check_view), name="risk_riskrule_check"),
            path("<uuid:object_id>/restore/<int:version>/", view(self.restore_view), name="risk_riskrule_restore"),
            path("<uuid:object_id>/back-test/", view(self.back_test_view), name="risk_riskrule_back_test"),
        ]
        return [*own, *super().get_urls()]

    def check_view(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        return render(request, "risk/expression_check.html", check_context(request.POST.get("expression", "")))

    def restore_view(self, request: HttpRequest, object_id: Any, version: int) -> HttpResponse:
        if request.method != "POST" or not self.has_operator_permission(request):
            raise PermissionDenied
        rule = self.row(request, str(object_id))
        try:
            restore_rule(rule_id=rule.id, version=version, actor=actor_name(request))
        except RiskRuleChange.DoesNotExist:
            raise Http404("the rule has no such version") from None
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, f"The rule has the contents of version {version} again.")
        return HttpResponseRedirect(self.page_of(rule))

    def back_test_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        if request.method != "POST" or not self.has_analyst_permission(request):
            raise PermissionDenied
        rule = self.row(request, str(object_id))
        form = back_test_form(request.POST)
        if not form.is_valid():
            messages.error(request, "Give both days of the back-test, such as 2030-01-31.")
            return HttpResponseRedirect(self.page_of(rule))
        try:
            request_back_test(
                expression=rule.expression,
                action=rule.action,
                actor=actor_name(request),
                rule=rule,
                **form.cleaned_data,
            )
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        except TooManyBackTests as error:
            messages.error(request, str(error))
        else:
            messages.success(request, "The back-test is queued; this page follows it.")
        # Without a fragment, behind which a browser would not load the page anew.
        return HttpResponseRedirect(self.page_of(rule))

    def save_model(self, request: HttpRequest, obj: RiskRule, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, "The rule is a draft. Try it on past transactions below, then publish it.")
        return HttpResponseRedirect(self.page_of(obj))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        acts = "It is a draft." if obj.mode == RiskRuleMode.DRAFT else "It acts within a second or two."
        messages.success(request, f"The rule is saved. {acts}")
        return HttpResponseRedirect(self.page_of(obj))

    @display(description="Mode", ordering="mode", label=MODE_COLOURS)
    def mode_label(self, rule: RiskRule) -> str:
        return self.mode_name(rule)

    @display(description="Action", ordering="action", label=ACTION_COLOURS)
    def action_label(self, rule: RiskRule) -> str:
        return rule.get_action_display()

    @display(description="Hits in 7 days")
    def hits(self, rule: RiskRule) -> str:
        counted = self.counted.get(rule.key, NO_HITS)
        return f"{counted['live']}" + (f" (shadow {counted['shadow']})" if counted["shadow"] else "")

    def mode_name(self, rule: RiskRule) -> str:
        return "Removed" if rule.removed_at else rule.mode.capitalize()

    @action(
        description="Put in shadow",
        icon="visibility",
        permissions=["operator"],
        dialog={
            "title": "Put this rule in shadow?",
            "description": "Its hits are counted within a second or two, and change no verdict.",
            "form_class": None,
            "form_submit_text": "Put in shadow",
        },
    )
    def shadow(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.put(request, object_id, RiskRuleMode.SHADOW, "The rule is in shadow.")

    @action(
        description="Publish",
        icon="publish",
        permissions=["operator"],
        variant=ActionVariant.PRIMARY,
        dialog={
            "title": "Publish this rule?",
            "description": "It judges transactions within a second or two, from its start until its end.",
            "form_class": None,
            "form_submit_text": "Publish",
        },
    )
    def publish(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.put(request, object_id, RiskRuleMode.LIVE, "The rule is live.")

    @action(
        description="Unpublish",
        icon="unpublished",
        permissions=["operator"],
        dialog={
            "title": "Make this rule a draft again?",
            "description": "It stops judging within a second or two.",
            "form_class": None,
            "form_submit_text": "Unpublish",
        },
    )
    def unpublish(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self.put(request, object_id, RiskRuleMode.DRAFT, "The rule is a draft again.")

    @action(
        description="Remove",
        icon="delete",
        permissions=["operator"],
        variant=ActionVariant.DANGER,
        dialog={
            "title": "Remove this rule?",
            "description": "It stops judging within a second or two. Its history stays, and a version can be restored.",
            "form_class": None,
            "form_submit_text": "Remove",
        },
    )
    def remove(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        rule = self.row(request, object_id)
        try:
            remove_rule(rule_id=rule.id, actor=actor_name(request))
            messages.success(request, "The rule is removed; its page keeps its history.")
        except RuleRemoved as error:
            messages.error(request, str(error))
        return go_to(self.page_of(rule))

    def put(self, request: HttpRequest, object_id: str, mode: RiskRuleMode, done: str) -> HttpResponse:
        rule = self.row(request, object_id)
        try:
            set_mode(rule_id=rule.id, mode=mode, actor=actor_name(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        except RuleRemoved as error:
            messages.error(request, str(error))
        else:
            messages.success(request, done)
        return go_to(self.page_of(rule))
