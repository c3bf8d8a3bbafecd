"""Scenarios: where an application answers, and how."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from console.base import TenantModelAdmin
from console.forms import PrettyJSONField
from console.site import register
from console.theme import display
from decisions.models import Scenario
from tenancy.models import Role

SettingsCheck = Callable[[dict[str, Any]], object]
_checks: dict[str, SettingsCheck] = {}


def check_scenario_settings(application: str, check: SettingsCheck) -> None:
    """Let an application judge the settings of its scenarios: `check` raises ValidationError for unusable ones."""
    _checks[application] = check


class ScenarioForm(forms.ModelForm):
    settings = PrettyJSONField(
        required=False,
        help_text="JSON; {} takes every default. Unknown names are refused.",
    )

    class Meta:
        model = Scenario
        fields = ("name", "model", "is_active", "settings")

    def clean_settings(self) -> dict[str, Any]:
        settings = self.cleaned_data["settings"] or {}
        if not isinstance(settings, dict):
            raise ValidationError('The settings are a JSON object, such as {"temperature": 0.2}.')
        check = _checks.get(self.instance.application)
        if check is not None:
            try:
                check(settings)
            except ValidationError as error:
                raise ValidationError(_in_words(error)) from error
        return settings


def _in_words(error: ValidationError) -> list[str]:
    if not hasattr(error, "error_dict"):
        return error.messages
    return [f"{name}: {message}" for name, messages in error.message_dict.items() for message in messages]


@register(Scenario)
class ScenarioAdmin(TenantModelAdmin):
    who_changes = Role.OPERATOR
    form = ScenarioForm
    list_display = ("name", "key", "application", "kind", "model", "state", "updated_at")
    search_fields = ("key", "name")
    ordering = ("application", "key")
    actions = None
    fields = ("name", "key", "application", "kind", "model", "is_active", "settings", "updated_at")
    readonly_fields = ("key", "application", "kind", "updated_at")
    empty_title = "No scenarios yet"
    empty_text = "A scenario names a place where an application answers, such as the home page of a shop."

    @display(description="State", label={"Active": "success", "Off": None})
    def state(self, scenario: Scenario) -> str:
        return "Active" if scenario.is_active else "Off"
