"""Form fields from a dataclass of settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from django.core.exceptions import ValidationError

from console.setting_fields import Setting, Words, settings_of


@dataclass(frozen=True)
class Example:
    on: bool = False
    maybe: bool | None = None
    days: int = 7
    share: float = field(default=0.5, metadata={"meaning": "how much"})
    name: str = "best"
    mode: Literal["fast", "very_good"] = "fast"
    types: Sequence[str] = ("view", "click")
    weights: Mapping[str, float] = field(default_factory=lambda: {"view": 1.0})
    window: dict[str, int] | None = None


SETTINGS: dict[str, Setting] = {
    each.name: each for each in settings_of(Example(), {"days": Words("Looks back", "days")})
}


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("on", "on", True),
        ("on", False, False),
        ("maybe", "", None),
        ("maybe", "True", True),
        ("maybe", "False", False),
        ("days", "30", 30),
        ("share", "0.25", 0.25),
        ("name", "new", "new"),
        ("mode", "very_good", "very_good"),
        ("types", " view,, buy ", ["view", "buy"]),
        ("weights", "view: 1\n\npurchase:2.5", {"view": 1.0, "purchase": 2.5}),
        ("weights", "a:b: 3", {"a:b": 3.0}),
        ("window", '{"size": 4}', {"size": 4}),
        ("window", "", None),
    ],
)
def test_what_is_typed_becomes_a_value_of_the_settings_type(name: str, typed: Any, value: Any) -> None:
    assert SETTINGS[name].field.clean(typed) == value


@pytest.mark.parametrize(
    ("name", "typed"),
    [("days", "soon"), ("share", "half"), ("mode", "slow"), ("weights", "view"), ("weights", ": 3"), ("window", "{")],
)
def test_what_cannot_be_a_value_is_refused(name: str, typed: str) -> None:
    with pytest.raises(ValidationError):
        SETTINGS[name].field.clean(typed)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_field_that_shows_the_default_is_not_changed(name: str) -> None:
    setting = SETTINGS[name]
    shown = setting.field.prepare_value(setting.shown({}))
    assert not setting.field.has_changed(setting.shown({}), shown)
    assert setting.is_default(setting.default)


def test_a_field_is_called_by_its_words_or_its_name() -> None:
    assert (SETTINGS["days"].field.label, SETTINGS["days"].field.help_text) == ("Looks back", "days")
    assert (SETTINGS["share"].field.label, SETTINGS["share"].field.help_text) == ("Share", "how much")
