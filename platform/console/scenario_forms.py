"""Forms that make and edit a scenario: a field for each setting, and all of them as JSON."""

from datetime import datetime
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_datetime

from console.forms import PrettyJSONField, ServiceForm
from console.scenario_applications import ScenarioApplication, find_application, kind_choices
from console.setting_fields import PREFIX, Setting
from console.theme import UnfoldAdminSelectWidget
from decisions.editing import EDITED, change_scenario, create_scenario
from decisions.models import Scenario

IN_BOTH = "was changed here and in the fields above. Undo one of the two."


class NewScenarioForm(ServiceForm):
    actor = ""  # set by the page
    kind = forms.ChoiceField(widget=UnfoldAdminSelectWidget, help_text="What its list is made of; it stays as it is.")
    settings = PrettyJSONField(
        required=False, initial=dict, help_text="JSON; leave {} for the defaults. They have fields of their own later."
    )

    class Meta:
        model = Scenario
        fields = ("name", "key", "kind", "model", "settings", "is_active")
        help_texts = {"name": "Where it answers, such as Home page."}

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        cast(forms.ChoiceField, self.fields["kind"]).choices = kind_choices()

    def clean(self) -> dict[str, Any]:
        application, _, self.cleaned_data["kind"] = str(self.cleaned_data.get("kind", "")).partition("/")
        self.instance.application = application
        settings = _object(self.cleaned_data.get("settings"), self)
        if problems := _problems(find_application(application), settings):
            self.add_error("settings", _in_words(problems))
        self.cleaned_data["settings"] = settings
        return super().clean()

    def write(self) -> Scenario:
        values = {name: self.cleaned_data[name] for name in ("key", "kind", *EDITED)}
        return create_scenario(application=self.instance.application, actor=self.actor, **values)


class ScenarioForm(ServiceForm):
    """Changes a scenario, unless `writes` is False. Only settings that were touched are changed."""

    actor = ""
    writes = True
    application: ScenarioApplication | None = None
    setting_list: tuple[Setting, ...] = ()
    settings = PrettyJSONField(
        label="All settings", required=False, help_text="JSON; {} takes every default. Unknown names are refused."
    )
    seen_at = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Scenario
        fields = ("name", "model", "is_active", "settings")

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self.initial["seen_at"] = self.instance.updated_at.isoformat()
        self.initial.update({each.field_name: each.shown(self.instance.settings) for each in self.setting_list})

    def clean(self) -> dict[str, Any]:
        # Clients that know no fields post the settings as JSON alone.
        touched = [each for each in self.setting_list if each.field_name in self.changed_data]
        if not any(name.startswith(PREFIX) for name in self.data):
            touched = []
        if "settings" not in self.data or "settings" not in self.changed_data:
            settings = dict(self.instance.settings)
        elif touched:
            self.add_error("settings", IN_BOTH)
            settings = {}
        else:
            settings = _object(self.cleaned_data.get("settings"), self)
        for each in touched:
            value = self.cleaned_data.get(each.field_name)
            settings.pop(each.name, None)
            if not (each.is_default(value) or value in (None, "", {}, [])):
                settings[each.name] = value
        for name, messages in _problems(self.application, settings).items():
            of_field = name in {each.name for each in touched}
            self.add_error(
                PREFIX + name if of_field else "settings", messages if of_field else _in_words({name: messages})
            )
        self.cleaned_data["settings"] = settings
        return super().clean()

    def write(self) -> Scenario:
        if not self.writes:
            return self.instance
        values = {name: self.cleaned_data[name] for name in EDITED}
        return change_scenario(scenario_id=self.instance.id, values=values, actor=self.actor, seen_at=self._seen_at())

    def _seen_at(self) -> datetime | None:
        try:
            return parse_datetime(self.cleaned_data.get("seen_at") or "")
        except ValueError:
            return None


def scenario_form(scenario: Scenario, **values: Any) -> type[ScenarioForm]:
    """The form of this scenario, with a field for each setting of its application; `values` are set on the class."""
    application = find_application(scenario.application)
    settings = tuple(application.settings(scenario.kind)) if application else ()
    members = {each.field_name: each.field for each in settings}
    return type(
        "ScenarioForm", (ScenarioForm,), members | values | {"application": application, "setting_list": settings}
    )


def _object(settings: Any, form: forms.Form | forms.ModelForm) -> dict[str, Any]:
    if isinstance(settings, dict) or settings is None:
        return settings or {}
    form.add_error("settings", 'The settings are a JSON object, such as {"temperature": 0.2}.')
    return {}


def _problems(application: ScenarioApplication | None, settings: dict[str, Any]) -> dict[str, list[str]]:
    """What the application says against the settings, by name."""
    if application is None:
        return {}
    try:
        application.check(settings)
    except ValidationError as error:
        return error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    return {}


def _in_words(problems: dict[str, list[str]]) -> list[str]:
    return [f"{name}: {message}" if name else message for name, messages in problems.items() for message in messages]
