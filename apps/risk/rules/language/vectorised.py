"""The same meaning as `single`, over columns of many transactions at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from apps.risk.rules.language.syntax import (
    Among,
    Arithmetic,
    Between,
    Call,
    Compare,
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

Booleans = NDArray[np.bool_]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Texts:
    """`codes` (n,) index `values`; -1 where the text is missing."""

    codes: NDArray[np.int64]
    values: Sequence[str]

    def map(self, function: Callable[[str], Any], missing: Any) -> NDArray:
        """The function of each text, worked out once for each different one."""
        return np.array([*map(function, self.values), missing])[self.codes]


class Columns(Protocol):
    """Columns of n transactions: a name read as a number or boolean gives floats with NaN where it is missing, and read
    as anything else gives Texts."""

    def __len__(self) -> int: ...

    def column(self, name: str, kind: Type) -> Numbers | Texts: ...

    def in_list(self, list_name: str, field: str) -> Booleans: ...


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": lambda left, right: np.where(right == 0, np.nan, left / np.where(right == 0, 1.0, right)),
}
COMPARISONS: dict[str, Callable[..., Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
NUMBER_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": np.abs, "min": np.minimum, "max": np.maximum}


def evaluate_condition(node: Node, columns: Columns) -> Booleans:
    """For each transaction whether the condition holds, shape (n,)."""
    with np.errstate(all="ignore"):
        return _condition(node, columns)


def _condition(node: Node, columns: Columns) -> Booleans:
    match node:
        case Logic():
            found = [_condition(each, columns) for each in node.operands]
            return np.logical_and.reduce(found) if node.operator == "and" else np.logical_or.reduce(found)
        case Not():
            return ~_condition(node.operand, columns)
        case InList():
            return columns.in_list(node.list_name, node.operand.name)
        case Compare(operator=sign):
            return _compare(sign, _value(node.left, columns), _value(node.right, columns))
        case Among(negated=negated):
            return _among(_value(node.operand, columns), node.values, negated)
        case Between(negated=negated):
            value, low, high = (_value(each, columns) for each in (node.operand, node.low, node.high))
            known = ~(np.isnan(value) | np.isnan(low) | np.isnan(high))
            return known & (((low <= value) & (value <= high)) != negated)
        case Missing(negated=negated):
            return _is_missing(_value(node.operand, columns)) != negated
        case Holds():
            return _value(node.operand, columns) == 1.0
        case Call():
            return _text_condition(node, *(_value(each, columns) for each in node.arguments))
    raise TypeError(f"{type(node).__name__} is no condition")


def _value(node: Node, columns: Columns) -> Any:
    match node:
        case Literal(value=str(text)):
            return Texts(np.zeros(len(columns), dtype=np.int64), [text])
        case Literal(value=number):
            return np.full(len(columns), number)
        case Name():
            return columns.column(node.name, node.type)
        case Arithmetic():
            return ARITHMETIC[node.operator](_value(node.left, columns), _value(node.right, columns))
        case Call(function="lower"):
            texts = _value(node.arguments[0], columns)
            return Texts(texts.codes, [text.lower() for text in texts.values])
        case Call():
            return NUMBER_FUNCTIONS[node.function](*(_value(each, columns) for each in node.arguments))
    raise TypeError(f"{type(node).__name__} is no value")


def _is_missing(value: Numbers | Texts) -> Booleans:
    return value.codes < 0 if isinstance(value, Texts) else np.isnan(value)


def _compare(sign: str, left: Any, right: Any) -> Booleans:
    known = ~(_is_missing(left) | _is_missing(right))
    if isinstance(left, Texts):
        left, right = _numbered(left, right)
    return known & COMPARISONS[sign](left, right)


def _numbered(left: Texts, right: Texts) -> tuple[NDArray, NDArray]:
    """Both with one number for each different text."""
    numbers: dict[str, int] = {}
    first, second = (each.map(lambda text: numbers.setdefault(text, len(numbers)), -1) for each in (left, right))
    return first, second


def _among(value: Numbers | Texts, members: Sequence[float | str], negated: bool) -> Booleans:
    if isinstance(value, Texts):
        wanted = frozenset(members)
        return value.map(lambda text: (text in wanted) != negated, False)
    return ~np.isnan(value) & (np.isin(value, np.array(members, dtype=np.float64)) != negated)


def _text_condition(node: Call, text: Texts, part: Texts) -> Booleans:
    holds = str.startswith if node.function == "starts_with" else str.__contains__
    if len(part.values) == 1 and (part.codes == 0).all():
        return text.map(lambda each: holds(each, part.values[0]), False)
    pairs = zip(text.codes, part.codes, strict=True)
    found = [i >= 0 and j >= 0 and holds(text.values[i], part.values[j]) for i, j in pairs]
    return np.array(found, dtype=np.bool_)
