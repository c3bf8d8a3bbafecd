"""Writes of saved filters. One that is in use is neither removed nor changed so that its users break."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from catalog.filters import FilterError
from catalog.models import SavedFilter
from catalog.saved_filters import (
    Definition,
    check_definition,
    find_definition,
    forget_definitions,
    read_filter,
    resolve_filter,
    saved_keys,
)

MOST_FILTERS = 500


class FilterInUse(Exception):
    """The saved filter is used elsewhere; the message names where."""


@dataclass(frozen=True)
class Use:
    """An expression kept at some place, such as "rule 'summer'"; `saved_as` is its key if it is itself saved."""

    place: str
    expression: Any
    saved_as: str = ""


_uses: list[Callable[[], Iterable[Use]]] = []


def register_uses(find_uses: Callable[[], Iterable[Use]]) -> None:
    """Let an application say in which of its places filter expressions are kept, for the tenant in scope."""
    _uses.append(find_uses)


def uses_of(key: str) -> list[Use]:
    """Places that use the filter, themselves or by way of other saved filters."""
    inside = _users_among_filters(key)
    keys = {key, *inside}
    elsewhere = [use for find in _uses for use in find() if saved_keys(use.expression) & keys]
    return [Use(f"saved filter '{other}'", inside[other].expression, other) for other in sorted(inside)] + elsewhere


def put_filter(
    *, key: str, expression: Any, parameters: dict[str, Any] | None = None, description: str = "", actor: str
) -> SavedFilter:
    """Make the filter of this key, or replace it.

    Raises FilterError that names the field for one that cannot be used, and FilterInUse where a place that uses it
    could not use the new one.
    """
    definition = Definition(expression, parameters or {})
    found = SavedFilter.objects.select_for_update().filter(key=key).first()
    if found is None and SavedFilter.objects.count() >= MOST_FILTERS:
        raise FilterError(("key",), f"there are {MOST_FILTERS} saved filters already; remove one first")
    check_definition(key, definition)
    if found is not None:
        _check_users(key, definition)
    saved = found or SavedFilter(key=key)
    saved.expression, saved.parameters = expression, parameters or {}
    saved.description, saved.updated_by = description, actor
    saved.clean_fields()
    saved.save()
    forget_definitions()
    return saved


def delete_filter(*, key: str) -> None:
    """Raises SavedFilter.DoesNotExist, and FilterInUse that names where it is used."""
    saved = SavedFilter.objects.select_for_update().get(key=key)
    if uses := uses_of(key):
        raise FilterInUse(f"'{key}' is used in {', '.join(use.place for use in uses[:10])}; change these first")
    saved.delete()
    forget_definitions()


def use_filter(expression: Any) -> None:
    """Check an expression that is about to be stored, and keep the saved filters that it names until it is.

    Raises FilterError.
    """
    if keys := saved_keys(expression):
        # In the order of their keys, so that two writers cannot wait for each other in a circle.
        list(SavedFilter.objects.select_for_update().filter(key__in=keys).order_by("key").values_list("id"))
        forget_definitions()
    read_filter(expression)


def _users_among_filters(key: str) -> dict[str, Definition]:
    """Saved filters that use the filter, at whatever distance."""
    known = {saved.key: Definition(saved.expression, saved.parameters) for saved in SavedFilter.objects.all()}
    users: dict[str, Definition] = {}
    reaching = {key}
    while more := {other for other in known.keys() - reaching if saved_keys(known[other].expression) & reaching}:
        users |= {other: known[other] for other in more}
        reaching |= more
    return users


def _check_users(key: str, definition: Definition) -> None:
    def find(other: str) -> Definition | None:
        return definition if other == key else find_definition(other)

    inside = _users_among_filters(key)
    for use in uses_of(key):
        try:
            if use.saved_as in inside:
                check_definition(use.saved_as, inside[use.saved_as], find=find)
            else:
                resolve_filter(use.expression, find=find)
        except FilterError as error:
            raise FilterInUse(f"{use.place} uses '{key}' and could no longer do so: {error}") from error
