"""Filter expressions over items: JSON in, a condition of the database out.

    {"and": [{"eq": {"field": "brand", "value": "Acme"}},
             {"range": {"field": "price", "gte": 10, "lt": 50}},
             {"not": {"in": {"field": "attributes.color", "values": ["red", "blue"]}}},
             {"exists": {"field": "attributes.size"}}]}

A condition is true or false, never unknown: what an item does not have equals nothing and lies in no range. On a field
that holds a list (`categories`, an attribute), a condition is true when any element meets it. Attributes keep their
type: 5 is not "5".
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import BooleanField, F, Func, Q, Value

from behavior.clock import EPOCH
from behavior.parsing import Invalid, check_storable, json_type, parse_number, parse_time

MAX_DEPTH = 8
MAX_CONDITIONS = 100
MAX_VALUES = 1000
MAX_TEXT = 500
ATTRIBUTE = "attributes."

TEXTS = {"id": "item_id", "title": "title", "brand": "brand", "currency": "currency"}
FLAGS = {"available"}
TIMES = {"created_at", "updated_at"}
FIELDS = [*TEXTS, "categories", "price", *sorted(FLAGS), *sorted(TIMES), "attributes.<name>"]
BOUNDS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

Path = tuple[str | int, ...]


class FilterError(ValueError):
    """A filter that cannot be used; says where and why."""

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        self.message = message
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
        super().__init__(f"{place}: {message}" if place else message)

    @property
    def detail(self) -> Any:
        """The message nested at its place, the form of a validation error: {"and": {1: {"range": [message]}}}"""
        detail: Any = [self.message]
        for part in reversed(self.path):
            detail = {part: detail}
        return detail


@dataclass
class _Budget:
    """How many conditions the expression has used so far."""

    conditions: int = field(default=0)

    def spend(self, path: Path) -> None:
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            raise FilterError(path, f"the filter has more than {MAX_CONDITIONS} conditions; use 'in' for many values")


def parse_filter(expression: Any) -> Q:
    """The condition on catalog.models.Item that the expression stands for. Raises FilterError."""
    return _parse(expression, (), _Budget())


def _parse(expression: Any, path: Path, budget: _Budget) -> Q:
    if not isinstance(expression, dict):
        raise FilterError(path, f'must be an object such as {{"eq": ...}}, not {json_type(expression)}')
    if len(expression) != 1:
        raise FilterError(path, f"must have exactly one of {', '.join(OPERATORS)}; join several with 'and'")
    [(name, operand)] = expression.items()
    if name not in OPERATORS:
        raise FilterError(path, f"'{_shown(name)}' is no operator; known are {', '.join(OPERATORS)}")
    if sum(isinstance(part, str) for part in path) >= MAX_DEPTH:
        raise FilterError(path, f"is nested more than {MAX_DEPTH} deep")
    budget.spend(path)
    return OPERATORS[name](operand, (*path, name), budget)


def _parse_and(operand: Any, path: Path, budget: _Budget) -> Q:
    return Q(*_parse_list(operand, path, budget))


def _parse_or(operand: Any, path: Path, budget: _Budget) -> Q:
    return Q(*_parse_list(operand, path, budget), _connector=Q.OR)


def _parse_list(operand: Any, path: Path, budget: _Budget) -> list[Q]:
    if not isinstance(operand, list) or not operand:
        raise FilterError(path, "must be a list of at least one filter")
    return [_parse(part, (*path, number), budget) for number, part in enumerate(operand)]


def _parse_not(operand: Any, path: Path, budget: _Budget) -> Q:
    return ~_parse(operand, path, budget)


def _parse_eq(operand: Any, path: Path, budget: _Budget) -> Q:
    name = _field(operand, path, {"value"})
    if "value" not in operand:
        raise FilterError(path, "needs 'value'")
    return _equals(name, operand["value"], (*path, "value"))


def _parse_in(operand: Any, path: Path, budget: _Budget) -> Q:
    name = _field(operand, path, {"values"})
    values, path = operand.get("values"), (*path, "values")
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_VALUES:
        raise FilterError(path, f"must be a list of 1 to {MAX_VALUES} values")
    # One condition of the database, and not one for each value.
    wanted = [_value(name, value, (*path, number)) for number, value in enumerate(values)]
    if name == "categories":
        return Q(categories__overlap=wanted)
    if name.startswith(ATTRIBUTE):
        return _attribute(name, "? (@ == $values[*])", {"values": wanted})
    return Q(**{f"{TEXTS.get(name, name)}__in": wanted})


def _parse_range(operand: Any, path: Path, budget: _Budget) -> Q:
    name = _field(operand, path, set(BOUNDS))
    bounds = {bound: value for bound, value in operand.items() if bound in BOUNDS}
    if not bounds:
        raise FilterError(path, "needs at least one of gt, gte, lt, lte")
    if name in TIMES:
        return Q(**{f"{name}__{bound}": _time(value, (*path, bound)) for bound, value in bounds.items()})
    numbers = {bound: _number(value, (*path, bound)) for bound, value in bounds.items()}
    if name == "price":
        return Q(**{f"price__{bound}": number for bound, number in numbers.items()})
    if name.startswith(ATTRIBUTE):
        # All bounds in one path, so that one element of a list has to lie between them.
        test = " && ".join(f"@ {BOUNDS[bound]} ${bound}" for bound in numbers)
        return _attribute(name, f"? ({test})", {bound: float(number) for bound, number in numbers.items()})
    raise FilterError((*path, "field"), f"'{name}' has no order; use price, a time or a number among the attributes")


def _parse_exists(operand: Any, path: Path, budget: _Budget) -> Q:
    name = _field(operand, path, set())
    if name in TEXTS:
        return ~Q(**{TEXTS[name]: ""})
    if name == "categories":
        return Q(categories__len__gt=0)
    if name.startswith(ATTRIBUTE):
        return _attribute(name, "? (@ != null)", {})
    return Q(**{f"{name}__isnull": False})


OPERATORS: dict[str, Callable[[Any, Path, _Budget], Q]] = {
    "and": _parse_and,
    "or": _parse_or,
    "not": _parse_not,
    "eq": _parse_eq,
    "in": _parse_in,
    "range": _parse_range,
    "exists": _parse_exists,
}


def _field(operand: Any, path: Path, others: set[str]) -> str:
    """The field that a condition names; its other members must be among `others`."""
    if not isinstance(operand, dict) or not isinstance(operand.get("field"), str):
        raise FilterError(path, 'must be an object with a \'field\', such as {"field": "brand", ...}')
    if unknown := sorted(operand.keys() - others - {"field"}):
        known = ", ".join(sorted(others | {"field"}))
        raise FilterError((*path, _shown(unknown[0])), f"is not known here; known are {known}")
    name: str = operand["field"]
    attribute = name.removeprefix(ATTRIBUTE)
    if attribute != name and 0 < len(attribute) <= MAX_TEXT:
        return _text(name, (*path, "field"))
    if name not in FIELDS:
        raise FilterError((*path, "field"), f"'{_shown(name)}' is not a field; known are {', '.join(FIELDS)}")
    return name


def _equals(name: str, value: Any, path: Path) -> Q:
    value = _value(name, value, path)
    if name == "categories":
        return Q(categories__contains=[value])
    if name.startswith(ATTRIBUTE):
        return _attribute(name, "? (@ == $value)", {"value": value})
    return Q(**{TEXTS.get(name, name): value})


def _value(name: str, value: Any, path: Path) -> Any:
    """What the field is compared with: of its own type, or of any that an attribute may have."""
    if name in TEXTS or name == "categories":
        return _text(value, path)
    if name == "price":
        return _number(value, path)
    if name in FLAGS:
        if not isinstance(value, bool):
            raise FilterError(path, f"must be true or false, not {json_type(value)}")
        return value
    if name in TIMES:
        return _time(value, path)
    if isinstance(value, bool):
        return value
    return _text(value, path) if isinstance(value, str) else float(_number(value, path, "text, a number, "))


def _attribute(name: str, test: str, variables: dict[str, Any]) -> Q:
    """A JSON path over the attributes. A comparison with a value of another type is false and no error."""
    path = f"$.{json.dumps(name.removeprefix(ATTRIBUTE))} {test}"
    return Q(
        Func(
            F("attributes"),
            Value(path),
            Value(json.dumps(variables)),
            function="jsonb_path_exists",
            template="%(function)s(%(expressions)s)",
            arg_joiner=", ",
            output_field=BooleanField(),
        )
    )


def _text(value: Any, path: Path) -> str:
    if not isinstance(value, str):
        raise FilterError(path, f"must be text, not {json_type(value)}")
    try:
        check_storable(value)
    except Invalid as problem:
        raise FilterError(path, problem.message) from None
    if len(value) > MAX_TEXT:
        raise FilterError(path, f"must have at most {MAX_TEXT} characters")
    return value


def _number(value: Any, path: Path, others: str = "") -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FilterError(path, f"must be {others}a number, not {json_type(value)}")
    try:
        parse_number(value)
    except Invalid as problem:
        raise FilterError(path, problem.message) from None
    return Decimal(str(value))


def _time(value: Any, path: Path) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=parse_time(value))
    except Invalid as problem:
        raise FilterError(path, problem.message) from None


def _shown(text: str) -> str:
    return text[:50].encode(errors="backslashreplace").decode()
