"""The search bar above a list: a few named inputs, each an exact condition that an index can answer."""

from abc import abstractmethod
from datetime import UTC
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime

from behavior.identity import person_of
from tenancy.secrets import subject_key


class SearchField(SimpleListFilter):
    """One input of the search bar. Subclasses set `title` and `parameter_name`, and narrow the list by its value."""

    template = "console/blank.html"  # the theme's drawer of filters stays empty; the search bar shows the input
    kind = "text"
    options: tuple[tuple[str, str], ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[()]:
        return ()

    def has_output(self) -> bool:
        return True

    def text(self) -> str:
        return (self.value() or "").strip()

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        text = self.text()
        if not text:
            return queryset
        try:
            return queryset.filter(self.condition(text))
        except ValueError as problem:
            messages.warning(request, f"{self.title}: {problem}")
            return queryset.none()

    @abstractmethod
    def condition(self, text: str) -> Q:
        """Condition for a text that is not empty. Raises ValueError with the cure for one that cannot be used."""


class SubjectField(SearchField):
    """A raw user id or anonymous id, as the client sent it; the log knows it only by its keys.

    What the ledger of identities ties to it is found too, for the time for which it is tied, as the API's answers do.
    """

    title = "Subject id"
    parameter_name = "subject"
    time = "occurred_at"

    def condition(self, text: str) -> Q:
        named = [subject_key("user_id", text), subject_key("anonymous_id", text)]
        found = Q(subject_key__in=named)
        for tied in (each for key in named for each in person_of(key) if each.key not in named):
            bounds = {f"{self.time}__gt": tied.after, f"{self.time}__lte": tied.until}
            found |= Q(subject_key=tied.key, **{name: bound for name, bound in bounds.items() if bound})
        return found


class ItemField(SearchField):
    title = "Item id"
    parameter_name = "item"

    def condition(self, text: str) -> Q:
        return Q(item_id=text)


class DecisionField(SearchField):
    title = "Decision id"
    parameter_name = "decision"

    def condition(self, text: str) -> Q:
        try:
            return Q(decision_id=UUID(text))
        except ValueError:
            raise ValueError("is not an id of a decision; copy it from the answer of the API") from None


class TypeField(SearchField):
    title = "Event type"
    parameter_name = "event_type"

    def condition(self, text: str) -> Q:
        return Q(type=text)


def time_field(*, title: str, parameter: str, lookup: str) -> type[SearchField]:
    """A moment in UTC, compared by `lookup`, such as received_at__gte."""

    class TimeField(SearchField):
        kind = "datetime-local"

        def condition(self, text: str) -> Q:
            moment = parse_datetime(text)
            if moment is None:
                raise ValueError("is not a time; write it like 2026-11-24T15:30")
            return Q(**{lookup: moment if moment.tzinfo else moment.replace(tzinfo=UTC)})

    TimeField.title, TimeField.parameter_name = title, parameter
    return TimeField


def choice_field(*, title: str, parameter: str, column: str, options: tuple[tuple[str, str], ...]) -> type[SearchField]:
    """One of a few values of a column, or any."""

    class ChoiceField(SearchField):
        kind = "select"

        def condition(self, text: str) -> Q:
            return Q(**{column: text})

    ChoiceField.title, ChoiceField.parameter_name, ChoiceField.options = title, parameter, options
    return ChoiceField
