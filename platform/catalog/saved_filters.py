"""Saved filters: expressions with a key and parameters, put in the place where an expression names them.

    saved as "cheap-shoes":  {"and": [{"eq": {"field": "categories", "value": "shoes"}},
                                      {"range": {"field": "price", "lte": {"param": "max"}}}]}
    with the parameters      {"max": {"type": "number", "default": 80}}
    and used as              {"saved": "cheap-shoes", "params": {"max": 50}}

Wherever the language of `catalog.filters` takes a filter it may be a saved one, inside another saved filter too.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import Q

from behavior.parsing import Invalid, check_storable, json_type, parse_number, parse_time
from catalog.filters import MAX_DEPTH, MAX_TEXT, MAX_VALUES, FilterError, Path, parse_filter
from catalog.models import SavedFilter
from tenancy.kept import Kept

# A changed filter reaches every process within this time, and a busy process reads them once in it.
KEPT_SECONDS = 1.0
# How many saved filters one expression may draw in, so that filters of filters cannot grow without end.
MAX_SAVED = 20
MAX_PARAMETERS = 20
PARAMETER_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Definition:
    """What a key stands for. `parameters` by name: {"type": ..., "default": ...}; one without a default is needed."""

    expression: Any
    parameters: Mapping[str, Mapping[str, Any]]


Find = Callable[[str], Definition | None]


@dataclass
class _Walk:
    """Where a resolution stands: the keys that it is inside of, and how many it has drawn in."""

    find: Find
    inside: tuple[str, ...] = ()
    drawn: list[str] = field(default_factory=list)


_known: Kept[dict[str, Definition]] = Kept(KEPT_SECONDS)


def read_filter(expression: Any) -> Q:
    """As `parse_filter`, for an expression that may name saved filters. Raises FilterError."""
    return parse_filter(resolve_filter(expression))


def resolve_filter(expression: Any, *, find: Find | None = None) -> Any:
    """The expression with each saved filter that it names put in its place, its parameters filled in.

    Asks the database only if one is named, and then at most once a second. Raises FilterError for an unknown key, for
    parameters that are missing, undeclared or of another type, and for a filter that refers to itself.
    """
    return _resolve(expression, (), _Walk(find or find_definition))


def saved_keys(expression: Any) -> set[str]:
    """Keys of the saved filters that the expression itself names."""
    return {each["saved"] for each in _objects(expression) if isinstance(each.get("saved"), str)}


def parameter_names(expression: Any) -> set[str]:
    return {str(each["param"]) for each in _objects(expression) if each.keys() == {"param"}}


def find_definition(key: str) -> Definition | None:
    """The saved filter as it was at most a second ago; one that this process does not know yet is looked for anew."""
    if key not in _known.get(None, _read_definitions):
        _known.forget(None)
    return _known.get(None, _read_definitions).get(key)


def _read_definitions() -> dict[str, Definition]:
    rows = SavedFilter.objects.values_list("key", "expression", "parameters")
    return {key: Definition(expression, parameters) for key, expression, parameters in rows}


def forget_definitions() -> None:
    """What this process remembers of the tenant's saved filters is read again."""
    _known.forget(None)


def check_definition(key: str, definition: Definition, *, find: Find | None = None) -> None:
    """Raises FilterError when the filter could not be used with some value of each parameter's type."""
    known = find or find_definition
    declared = definition.parameters
    if not isinstance(declared, dict) or len(declared) > MAX_PARAMETERS:
        raise FilterError(("parameters",), f"must be an object of at most {MAX_PARAMETERS} parameters by name")
    used = parameter_names(definition.expression)
    for name, declaration in declared.items():
        _check_declaration(name, declaration)
        if name not in used:
            raise FilterError(("parameters", name), 'is declared but not used; put {"param": "..."} into the filter')
    if undeclared := sorted(used - declared.keys()):
        raise FilterError(("parameters",), f"'{undeclared[0][:50]}' is used in the filter but not declared")
    samples = {name: PARAMETER_TYPES[declaration["type"]].sample for name, declaration in declared.items()}
    try:
        walk = _Walk(lambda other: definition if other == key else known(other), inside=(key,))
        parse_filter(_resolve(_fill(definition.expression, samples), (), walk))
    except FilterError as error:
        raise FilterError(("expression", *error.path), error.message) from error


def _resolve(expression: Any, path: Path, walk: _Walk) -> Any:
    # What has another shape is left as it is: parse_filter says what is wrong with it.
    if not isinstance(expression, dict) or len(path) > 2 * MAX_DEPTH:
        return expression
    if "saved" in expression:
        return _saved(expression, path, walk)
    if len(expression) != 1:
        return expression
    [(name, operand)] = expression.items()
    if name in ("and", "or") and isinstance(operand, list):
        return {name: [_resolve(part, (*path, name, number), walk) for number, part in enumerate(operand)]}
    return {name: _resolve(operand, (*path, name), walk)} if name == "not" else expression


def _saved(expression: dict[str, Any], path: Path, walk: _Walk) -> Any:
    key = expression["saved"]
    if unknown := sorted(expression.keys() - {"saved", "params"}):
        raise FilterError((*path, unknown[0][:50]), "is not known beside 'saved'; known is params")
    if not isinstance(key, str):
        raise FilterError((*path, "saved"), f"must be the key of a saved filter, not {json_type(key)}")
    if key in walk.inside:
        raise FilterError((*path, "saved"), f"refers to itself: {' > '.join((*walk.inside, key))}")
    walk.drawn.append(key)
    if len(walk.drawn) > MAX_SAVED:
        raise FilterError((*path, "saved"), f"draws in more than {MAX_SAVED} saved filters")
    definition = walk.find(key)
    if definition is None:
        shown = key[:50].encode(errors="backslashreplace").decode()
        raise FilterError((*path, "saved"), f"there is no saved filter '{shown}'; GET /api/v1/filters lists them")
    values = _values(key, definition, expression.get("params", {}), (*path, "params"))
    try:
        inside = replace(walk, inside=(*walk.inside, key))
        resolved = _resolve(_fill(definition.expression, values), (), inside)
        parse_filter(resolved)
    except FilterError as error:
        raise FilterError((*path, "saved"), f"'{key}' cannot be used: {error}") from error
    return resolved


def _values(key: str, definition: Definition, given: Any, path: Path) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise FilterError(path, f"must be an object of parameters by name, not {json_type(given)}")
    declared = definition.parameters
    if undeclared := sorted(given.keys() - declared.keys()):
        known = ", ".join(sorted(declared)) or "none"
        raise FilterError((*path, undeclared[0][:50]), f"is not a parameter of '{key}'; it has {known}")
    values = {}
    for name, declaration in declared.items():
        if name not in given and "default" not in declaration:
            raise FilterError(path, f"'{key}' needs '{name}', {PARAMETER_TYPES[declaration['type']].said}")
        value = given.get(name, declaration.get("default"))
        if problem := PARAMETER_TYPES[declaration["type"]].problem(value):
            raise FilterError((*path, name), problem)
        values[name] = value
    return values


def _fill(expression: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(expression, list):
        return [_fill(part, values) for part in expression]
    if not isinstance(expression, dict):
        return expression
    if expression.keys() == {"param"}:
        return values[expression["param"]]
    return {name: _fill(part, values) for name, part in expression.items()}


def _objects(expression: Any) -> Iterator[dict[str, Any]]:
    if isinstance(expression, dict):
        yield expression
    parts = expression.values() if isinstance(expression, dict) else expression
    for part in parts if isinstance(expression, dict | list) else ():
        yield from _objects(part)


def _check_declaration(name: str, declaration: Any) -> None:
    path: Path = ("parameters", name[:50])
    if not PARAMETER_NAME.fullmatch(name):
        raise FilterError(path, "is no name: take a-z, then a-z, 0-9 and '_', at most 40 characters")
    if not isinstance(declaration, dict) or declaration.get("type") not in PARAMETER_TYPES:
        raise FilterError(path, f'must be an object such as {{"type": "number"}}; types are {TYPES_SAID}')
    if unknown := sorted(declaration.keys() - {"type", "default"}):
        raise FilterError((*path, unknown[0][:50]), "is not known here; known are default, type")
    if "default" in declaration and (problem := PARAMETER_TYPES[declaration["type"]].problem(declaration["default"])):
        raise FilterError((*path, "default"), problem)


@dataclass(frozen=True)
class ParameterType:
    """How a type is said, a value of it, and what is wrong with a value that is not of it."""

    said: str
    sample: Any
    problem: Callable[[Any], str | None]


def _problem_of_text(value: Any) -> str | None:
    if not isinstance(value, str):
        return f"must be text, not {json_type(value)}"
    try:
        check_storable(value)
    except Invalid as problem:
        return problem.message
    return None if len(value) <= MAX_TEXT else f"must have at most {MAX_TEXT} characters"


def _problem_of_number(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be a number, not {json_type(value)}"
    try:
        parse_number(value)
    except Invalid as problem:
        return problem.message
    return None


def _problem_of_boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"must be true or false, not {json_type(value)}"


def _problem_of_time(value: Any) -> str | None:
    if value is None:
        return "must be a time, not null"
    try:
        parse_time(value)
    except Invalid as problem:
        return problem.message
    return None


def _each(problem_of: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    def problem(values: Any) -> str | None:
        if not isinstance(values, list) or not 1 <= len(values) <= MAX_VALUES:
            return f"must be a list of 1 to {MAX_VALUES} values"
        return next((found for value in values if (found := problem_of(value))), None)

    return problem


PARAMETER_TYPES = {
    "text": ParameterType("a text", "text", _problem_of_text),
    "number": ParameterType("a number", 1, _problem_of_number),
    "boolean": ParameterType("true or false", True, _problem_of_boolean),
    "time": ParameterType("a time", "2026-01-01T00:00:00Z", _problem_of_time),
    "texts": ParameterType("a list of texts", ["text"], _each(_problem_of_text)),
    "numbers": ParameterType("a list of numbers", [1], _each(_problem_of_number)),
}
TYPES_SAID = ", ".join(PARAMETER_TYPES)
