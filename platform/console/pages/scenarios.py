"""Scenarios: where an application answers, and how. Made, edited beside a live preview, judged by their KPI."""

from copy import copy
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode

from console.base import TenantModelAdmin
from console.kpi_view import kpi_context
from console.rights import actor_name
from console.scenario_applications import find_application
from console.scenario_forms import NewScenarioForm, ScenarioForm, scenario_form
from console.scenario_history import history_rows
from console.scenario_preview import preview_columns, subject_choices
from console.site import register
from console.theme import action, display
from decisions.editing import scenario_changes, undo_change
from decisions.models import Scenario, ScenarioChange
from tenancy.models import Role


@register(Scenario)
class ScenarioAdmin(TenantModelAdmin):
    who_adds = who_changes = Role.OPERATOR
    list_display = ("name", "key", "application", "kind", "model", "status_label", "updated_at")
    search_fields = ("key", "name")
    ordering = ("application", "key")
    actions = None
    actions_detail = ("kpi", "duplicate")
    readonly_fields = ("updated_at",)
    change_form_template = "console/scenario.html"
    empty_title = "No scenarios yet"
    empty_text = "A scenario names a place where an application answers, such as the home page of a shop."

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            return path(
                f"<uuid:object_id>/{route}", self.admin_site.admin_view(view), name=f"decisions_scenario_{name}"
            )

        return [
            page("preview/", self.preview_view, "preview"),
            page("undo/<uuid:change_id>/", self.undo_view, "undo"),
            *super().get_urls(),
        ]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            return super().get_form(request, obj, change, form=type("Form", (NewScenarioForm,), self._actor(request)))
        return super().get_form(request, obj, change, form=scenario_form(obj, **self._actor(request)))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        if obj is None:
            return [(None, {"fields": ("name", "key", "kind", "model", "settings", "is_active")})]
        if not self.has_change_permission(request, obj):
            return [(None, {"fields": ("name", "key", "application", "kind", "model", "is_active", "settings")})]
        form = scenario_form(obj)
        fields = [each.field_name for each in form.setting_list]
        return [
            (None, {"fields": ("name", "key", "kind", "model", "is_active", "seen_at")}),
            *([("Settings", {"fields": fields})] if fields else []),
            (
                "Expert view: the settings as JSON",
                {"fields": ("settings",), "classes": ("collapse",) if fields else ()},
            ),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("key", "application", "kind", "updated_at") if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        copied = self.get_queryset(request).filter(key=request.GET.get("copy", "")).first()
        if copied is None:
            return {"is_active": True}
        return {
            "name": f"{copied.name} (copy)",
            "key": f"{copied.key[:45]}-copy",
            "kind": f"{copied.application}/{copied.kind}",
            "model": copied.model,
            "settings": copied.settings,
            "is_active": False,
        }

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        scenario = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if scenario:
            application = (
                find_application(scenario.application) if self.has_change_permission(request, scenario) else None
            )
            lists = application is not None and application.preview is not None
            context |= {
                "scenario": scenario,
                "title": scenario.name,
                "subjects": subject_choices() if lists else [],
                "previews": application is not None,
                "changes": history_rows(scenario),
            }
        return super().changeform_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Scenario, form: forms.ModelForm, change: bool) -> None:
        """The form has called the service."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, f"{obj.name} is made. Change its settings here, and watch the preview.")
        return HttpResponseRedirect(self.page_of(obj))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        messages.success(request, f"{obj.name} is saved. It answers like this within two seconds.")
        return HttpResponseRedirect(self.page_of(obj))

    def preview_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """What the unsaved form comes to, beside what is stored; loaded again and again while it is edited."""
        scenario = self.row(request, str(object_id))
        application = find_application(scenario.application)
        if application is None or not self.has_change_permission(request, scenario):
            raise PermissionDenied
        changed = copy(scenario)
        form = scenario_form(scenario, writes=False)(request.POST or None, instance=changed)
        problems = _problems_in_words(form) if form.is_bound and not form.is_valid() else []
        template, context = "console/scenario_preview.html", dict[str, Any]()
        if not problems:
            try:
                if application.picture:
                    template, context = application.picture(scenario, changed)
                elif application.preview:
                    context = {"columns": preview_columns(application.preview, scenario, changed, request.POST)}
            except ValidationError as error:
                problems = error.messages
        return render(request, template, context | {"problems": problems})

    def undo_view(self, request: HttpRequest, object_id: UUID, change_id: UUID) -> HttpResponse:
        scenario = self.row(request, str(object_id))
        if request.method != "POST" or not self.has_change_permission(request, scenario):
            raise PermissionDenied
        change = scenario_changes(scenario.key).filter(id=change_id).first()
        try:
            self._undo(scenario, change, actor_name(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, f"{scenario.name} is again as it was before this change.")
        return HttpResponseRedirect(self.page_of(scenario))

    def _undo(self, scenario: Scenario, change: ScenarioChange | None, actor: str) -> None:
        """Raises ValidationError where there is nothing to go back to, or the application takes it no longer."""
        if change is None:
            raise ValidationError("There is no such change of this scenario.")
        application = find_application(scenario.application)
        if application and change.before:
            application.check(change.before["settings"])
        undo_change(change_id=change.id, actor=actor)

    @action(description="KPI", icon="monitoring", permissions=["view"])
    def kpi(self, request: HttpRequest, object_id: str) -> HttpResponse:
        scenario = self.row(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            **self.frame(title=f"{scenario.name}: KPI"),
            **kpi_context(scenario.key, request.GET.get("days")),
            "opts": self.opts,
            "original": scenario,
            "scenario": scenario,
        }
        return TemplateResponse(request, "console/scenario_kpi.html", context)

    @action(description="Duplicate", icon="content_copy", permissions=["operator"])
    def duplicate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        scenario = self.row(request, object_id)
        return HttpResponseRedirect(f"{reverse('admin:decisions_scenario_add')}?{urlencode({'copy': scenario.key})}")

    @display(description="Status", label={"Active": "success", "Off": None})
    def status_label(self, scenario: Scenario) -> str:
        return "Active" if scenario.is_active else "Off"

    def _actor(self, request: HttpRequest) -> dict[str, str]:
        return {"actor": actor_name(request)}


def _problems_in_words(form: ScenarioForm) -> list[str]:
    return [
        f"{form.fields[name].label or name}: {message}" if name in form.fields else str(message)
        for name, messages in form.errors.items()
        for message in messages
    ]
