"""Expressions over the facts of one transaction, compiled to closures so that many rules cost microseconds."""

import math
import operator
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

from apps.risk.rules.language.syntax import (
    Among,
    Arithmetic,
    Between,
    Call,
    Compare,
    Fact,
    Holds,
    InList,
    Literal,
    Logic,
    Missing,
    Name,
    Node,
    Not,
    Type,
)

Facts = Mapping[str, Fact]
Value = float | str | bool | None
# in_list(name of the list, field) says whether the transaction's value of the field is in it.
InListOf = Callable[[str, str], bool]
Evaluator = Callable[[Facts, InListOf], Any]

ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right if right else math.nan,
}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "lower": str.lower,
    "starts_with": str.startswith,
    "contains": operator.contains,
}


def read_fact(raw: Fact, kind: Type) -> float | str | None:
    """A fact as a type; None where it is missing or is something else."""
    if kind in (Type.NUMBER, Type.BOOLEAN):
        return _number(raw, boolean=kind == Type.BOOLEAN)
    if kind == Type.ANY:
        return "" if isinstance(raw, str | bool) or _number(raw) is not None else None
    return raw if isinstance(raw, str) else None


def _number(raw: Fact, *, boolean: bool = False) -> float | None:
    """A finite or infinite float; a boolean is 1.0 or 0.0, given as such or as true and false."""
    if isinstance(raw, bool):
        return float(raw) if boolean else None
    if not isinstance(raw, Real):
        return None
    try:
        number = float(raw)
    except OverflowError:
        return None
    if math.isnan(number) or (boolean and number not in (0.0, 1.0)):
        return None
    return number


def look_up(facts: Facts, name: str) -> Fact:
    """The fact of this name; `properties.a.b` goes into the properties."""
    if not name.startswith("properties."):
        return facts.get(name)
    found: Any = facts.get("properties")
    for part in name.split(".")[1:]:
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def compile_expression(node: Node) -> Evaluator:
    """A function of the facts and the lists: of a condition true or false, else a number, a text, or None (missing)."""
    match node:
        case Literal(value=value):
            return lambda facts, in_list: value
        case Name(name=name, type=kind):
            return lambda facts, in_list: read_fact(look_up(facts, name), kind)
        case Arithmetic():
            return _defined(ARITHMETIC[node.operator], node.left, node.right)
        case Call(type=Type.CONDITION):
            return _certain(FUNCTIONS[node.function], *node.arguments)
        case Call():
            return _defined(FUNCTIONS[node.function], *node.arguments)
        case Compare():
            return _certain(COMPARISONS[node.operator], node.left, node.right)
        case Among(values=values, negated=negated):
            members = frozenset(values)
            return _certain(lambda value: (value in members) != negated, node.operand)
        case Between(negated=negated):
            return _certain(
                lambda value, low, high: (low <= value <= high) != negated, node.operand, node.low, node.high
            )
        case Holds():
            return _certain(bool, node.operand)
        case InList(list_name=list_name):
            field = node.operand.name
            return lambda facts, in_list: in_list(list_name, field)
    return _compile_logic(node)


def _compile_logic(node: Node) -> Evaluator:
    match node:
        case Missing(negated=negated):
            operand = compile_expression(node.operand)
            return lambda facts, in_list: (operand(facts, in_list) is None) != negated
        case Not():
            condition = compile_expression(node.operand)
            return lambda facts, in_list: not condition(facts, in_list)
        case Logic():
            conditions = [compile_expression(each) for each in node.operands]
            quantifier = all if node.operator == "and" else any
            return lambda facts, in_list: quantifier(each(facts, in_list) for each in conditions)
    raise TypeError(f"{type(node).__name__} is no part of an expression")


def _defined(function: Callable[..., Any], *nodes: Node) -> Evaluator:
    """A value that is missing where one of its operands is, or where it is no number."""
    operands = [compile_expression(each) for each in nodes]

    def evaluate(facts: Facts, in_list: InListOf) -> Any:
        values = [each(facts, in_list) for each in operands]
        if None in values:
            return None
        result = function(*values)
        return None if result != result else result

    return evaluate


def _certain(function: Callable[..., bool], *nodes: Node) -> Evaluator:
    """A condition that is false where one of its operands is missing."""
    operands = [compile_expression(each) for each in nodes]

    def evaluate(facts: Facts, in_list: InListOf) -> bool:
        values = [each(facts, in_list) for each in operands]
        return None not in values and function(*values)

    return evaluate
