"""What an application tells the console of its scenarios: their kinds and settings, and how to preview one."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from behavior.subjects import Subject
from console.setting_fields import Setting, Words, settings_of
from decisions.models import Scenario


@dataclass(frozen=True)
class PreviewedItem:
    """An item of a previewed list. `parts` says what the score is made of: a number by its name, to be multiplied."""

    item_id: str
    score: float
    parts: Mapping[str, float]
    reasons: Sequence[str]
    rules: Sequence[str]


@dataclass(frozen=True)
class PreviewedList:
    """The list that would be served. `degraded` and `notice` are as in an answer of the API."""

    items: Sequence[PreviewedItem]
    degraded: str | None = None
    notice: str | None = None


# preview(scenario, subject, page, count) for the scenario as it is in memory; `page` is the item or category that the
# list stands beside, or empty. It records nothing, and raises ValidationError where there can be no list.
Preview = Callable[[Scenario, Subject, str, int], PreviewedList]

# picture(stored, changed): a template and its context that show what the settings come to, as they are and as they
# would be. It records nothing, and raises ValidationError where there is nothing to show yet.
Picture = Callable[[Scenario, Scenario], tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class ScenarioApplication:
    """`kinds` are those that operators can make; an application with one scenario of its own has none. What settings
    come to is shown by `preview` as lists for a subject, or by `picture` as the application likes.

    `defaults` gives the settings of a kind where none is changed, an instance of a dataclass with typed fields; `check`
    raises ValidationError that names the settings that cannot be used. `counting` gives the names of those that make a
    difference to a kind, which alone have fields; without it all have.
    """

    name: str
    title: str
    kinds: Sequence[tuple[str, str]]
    defaults: Callable[[str], Any]
    check: Callable[[dict[str, Any]], object]
    preview: Preview | None = None
    picture: Picture | None = None
    words: Mapping[str, Words] = field(default_factory=dict)
    counting: Callable[[str], Collection[str]] | None = None

    def settings(self, kind: str) -> list[Setting]:
        every = settings_of(self.defaults(kind), self.words)
        counting = self.counting(kind) if self.counting else [each.name for each in every]
        return [each for each in every if each.name in counting]


_applications: dict[str, ScenarioApplication] = {}


def register_application(application: ScenarioApplication) -> None:
    """Let the console edit and preview the scenarios of an application."""
    _applications[application.name] = application


def find_application(name: str) -> ScenarioApplication | None:
    return _applications.get(name)


def kind_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Kinds of scenario by application, for a select; a value is `application/kind`."""
    return [
        (each.title, [(f"{each.name}/{kind}", label) for kind, label in each.kinds])
        for each in _applications.values()
        if each.kinds
    ]
