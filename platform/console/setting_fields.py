"""Form fields for the settings of a scenario, from the typed fields of an application's dataclass of settings."""

import collections.abc
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from django import forms
from django.core.exceptions import ValidationError

from console.forms import PrettyJSONField
from console.theme import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

PREFIX = "setting_"


@dataclass(frozen=True)
class Words:
    """How a setting is called in the form, and what it does."""

    label: str
    help_text: str = ""


@dataclass(frozen=True)
class Setting:
    """A setting with its default and the field to edit it. An empty field stands for the default."""

    name: str
    default: Any
    field: forms.Field

    @property
    def field_name(self) -> str:
        return PREFIX + self.name

    def is_default(self, value: Any) -> bool:
        return _plain(value) == _plain(self.default)

    def shown(self, stored: Mapping[str, Any]) -> Any:
        """What the field shows for the stored settings."""
        return _plain(stored.get(self.name, self.default))


def settings_of(defaults: Any, words: Mapping[str, Words]) -> list[Setting]:
    """One entry for each field of the dataclass of which `defaults` is an instance.

    A field without words is called by its name and explained by its metadata's `meaning`, if it has one.
    """
    hints = get_type_hints(type(defaults))
    found = []
    for each in fields(defaults):
        own = Words(each.name.replace("_", " ").capitalize(), each.metadata.get("meaning", ""))
        said = words.get(each.name, own)
        found.append(Setting(each.name, getattr(defaults, each.name), _field(hints[each.name], said)))
    return found


def _field(hint: Any, words: Words) -> forms.Field:
    said: dict[str, Any] = {"label": words.label, "help_text": words.help_text, "required": False}
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    optional = NoneType in kinds
    kind = next(each for each in kinds if each is not NoneType)
    origin = get_origin(kind) or kind
    if kind is bool:
        return YesNoField(**said) if optional else forms.BooleanField(widget=UnfoldBooleanWidget, **said)
    if kind is int:
        return forms.IntegerField(widget=UnfoldAdminIntegerFieldWidget, **said)
    if kind is float:
        return forms.FloatField(widget=UnfoldAdminIntegerFieldWidget(attrs={"step": "any"}), **said)
    if kind is str:
        return forms.CharField(widget=UnfoldAdminTextInputWidget, **said)
    if origin is Literal:
        choices = [(each, each.replace("_", " ").capitalize()) for each in get_args(kind)]
        return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **said)
    if origin in SEQUENCES and get_args(kind)[:1] == (str,):
        return WordsField(**said)
    if origin in MAPPINGS and get_args(kind) == (str, float):
        return WeightsField(**said)
    return PrettyJSONField(**said)


SEQUENCES = (collections.abc.Sequence, list, tuple)
MAPPINGS = (collections.abc.Mapping, dict)


class YesNoField(forms.TypedChoiceField):
    """True, False, or nothing said."""

    def __init__(self, **values: Any) -> None:
        super().__init__(
            choices=[("", "As the application decides"), ("True", "Yes"), ("False", "No")],
            coerce=lambda text: text == "True",
            empty_value=None,
            widget=UnfoldAdminSelectWidget,
            **values,
        )


class WordsField(forms.CharField):
    """A list of words, separated by commas."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        return [word.strip() for word in (value or "").split(",") if word.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial) != self.to_python(data)


class WeightsField(forms.CharField):
    """Numbers by name, one a line: `purchase: 5`."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 5, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return "\n".join(f"{name}: {number:.15g}" for name, number in value.items())

    def to_python(self, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        weights: dict[str, float] = {}
        for line in filter(None, map(str.strip, (value or "").splitlines())):
            name, _, number = line.rpartition(":")
            try:
                weights[name.strip()] = float(number)
            except ValueError:
                weights[""] = 0.0
            if "" in weights:
                raise ValidationError(f"'{line}' is not a name and a number, such as purchase: 5.")
        return weights

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return _plain(self.to_python(initial)) != _plain(self.to_python(data))
        except ValidationError:
            return True


def _plain(value: Any) -> Any:
    """As JSON gives it back, so that a tuple equals its list."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
