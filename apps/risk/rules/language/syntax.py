"""The typed tree of a rule's expression, and what its values are."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# What a fact can be before a field's type is asked of it; `properties` holds a whole object.
Fact = Any


class Type(StrEnum):
    """NUMBER, TEXT and BOOLEAN can be compared; a KEY is personal and can only be looked up in lists; ANY is a property
    whose type the comparison decides; a CONDITION is true or false and never missing."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    KEY = "key"
    ANY = "any"
    CONDITION = "condition"


class ExpressionError(ValueError):
    """What is wrong with an expression: `column` counts its characters from 1."""

    def __init__(self, column: int, message: str) -> None:
        super().__init__(f"column {column}: {message}")
        self.column = column
        self.message = message


@dataclass(frozen=True)
class Node:
    """`start` and `end` are where it stands in the text, counted from 0, the end excluded."""

    start: int
    end: int
    type: Type


@dataclass(frozen=True)
class Literal(Node):
    """A number, a text, or true and false as 1.0 and 0.0."""

    value: float | str


@dataclass(frozen=True)
class Name(Node):
    """A field; `properties.a.b` is a path into the transaction's own properties."""

    name: str


@dataclass(frozen=True)
class Arithmetic(Node):
    operator: str  # + - * /
    left: Node
    right: Node


@dataclass(frozen=True)
class Call(Node):
    """A function of numbers or texts that gives a number, a text or a condition."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Compare(Node):
    operator: str  # == != < <= > >=
    left: Node
    right: Node


@dataclass(frozen=True)
class Among(Node):
    """Whether the operand is one of the values, or with `negated` none of them; false where it is missing."""

    operand: Node
    values: tuple[float | str, ...]
    negated: bool


@dataclass(frozen=True)
class Between(Node):
    """Both ends belong to it; false where anything is missing."""

    operand: Node
    low: Node
    high: Node
    negated: bool


@dataclass(frozen=True)
class Missing(Node):
    operand: Node
    negated: bool


@dataclass(frozen=True)
class Holds(Node):
    """A boolean field as a condition: false where it is missing."""

    operand: Node


@dataclass(frozen=True)
class InList(Node):
    list_name: str
    operand: Name


@dataclass(frozen=True)
class Not(Node):
    operand: Node


@dataclass(frozen=True)
class Logic(Node):
    operator: str  # and, or
    operands: tuple[Node, ...]


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Arithmetic() | Compare():
            return (node.left, node.right)
        case Call():
            return node.arguments
        case Between():
            return (node.operand, node.low, node.high)
        case Among() | Missing() | Holds() | InList() | Not():
            return (node.operand,)
        case Logic():
            return node.operands
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, from the outside inwards."""
    yield node
    for child in children(node):
        yield from walk(child)


def names(node: Node) -> dict[str, Type]:
    """The fields that the expression reads, with the type that it reads them as."""
    return {each.name: each.type for each in walk(node) if isinstance(each, Name)}


def lists(node: Node) -> dict[str, str]:
    """The lists that the expression looks into, with the field that it looks up."""
    return {each.list_name: each.operand.name for each in walk(node) if isinstance(each, InList)}
