"""What may be compared with what; a property takes the type of what it is compared with."""

from collections.abc import Sequence
from dataclasses import replace

from apps.risk.rules.language.syntax import Call, ExpressionError, Holds, Literal, Name, Node, Type

N, T, C = Type.NUMBER, Type.TEXT, Type.CONDITION
# Types of the arguments, and of what comes out.
FUNCTIONS: dict[str, tuple[tuple[Type, ...], Type]] = {
    "abs": ((N,), N),
    "min": ((N, N), N),
    "max": ((N, N), N),
    "lower": ((T,), T),
    "starts_with": ((T, T), C),
    "contains": ((T, T), C),
}
WORDS = {N: "a number", T: "a text", Type.BOOLEAN: "true or false", C: "a condition"}
PERSONAL = "is personal and is held as a key: look it up with in_list(\"...\", {name}), or ask 'is missing'"


def as_condition(node: Node) -> Node:
    if node.type == C:
        return node
    if node.type == Type.BOOLEAN and isinstance(node, Name):
        return Holds(node.start, node.end, C, node)
    if node.type == Type.ANY:
        return Holds(node.start, node.end, C, replace(node, type=Type.BOOLEAN))
    if node.type == Type.KEY and isinstance(node, Name):
        raise ExpressionError(node.start + 1, f"'{node.name}' {PERSONAL.format(name=node.name)}")
    raise ExpressionError(
        node.start + 1, f"a condition is needed here, not {WORDS[node.type]}; compare it, such as amount > 500"
    )


def as_value(node: Node, where: str) -> Node:
    if node.type == C:
        raise ExpressionError(node.start + 1, f"{where} needs a field or a number, not a condition")
    return node


def as_type(node: Node, wanted: Type, where: str) -> Node:
    """The node, a property read as the type that is wanted."""
    if node.type == Type.ANY:
        return replace(node, type=wanted)
    if node.type == wanted:
        return node
    if node.type == Type.KEY and isinstance(node, Name):
        raise ExpressionError(node.start + 1, f"'{node.name}' {PERSONAL.format(name=node.name)}")
    cure = f"; write '{node.name}' or 'not {node.name}'" if node.type == Type.BOOLEAN and isinstance(node, Name) else ""
    raise ExpressionError(node.start + 1, f"{where} needs {WORDS[wanted]}, not {WORDS[node.type]}{cure}")


def compared(left: Node, right: Node, operator: str) -> tuple[Node, Node]:
    """Both sides, read as the one type that they are compared as."""
    where = f"'{operator}'"
    known: Type | None = next((each.type for each in (left, right) if each.type != Type.ANY), None)
    if operator not in ("==", "!="):
        known = N
    if known is None:
        raise ExpressionError(
            right.start + 1, "two properties have no known type; compare one with a field, a number or a text"
        )
    if known in (C, Type.KEY):
        node = left if left.type == known else right
        as_type(as_value(node, where), N, where)
    return as_type(left, known, where), as_type(right, known, where)


def member(operand: Node, values: Sequence[Literal]) -> Node:
    """The operand of `in`, read as what the list holds."""
    kind = values[0].type
    for value in values:
        if value.type != kind:
            raise ExpressionError(
                value.start + 1, f"the list begins with {WORDS[kind]}, and this is {WORDS[value.type]}; take one kind"
            )
    return as_type(as_value(operand, "'in'"), kind, "'in'")


def call(function: str, arguments: tuple[Node, ...], start: int, end: int) -> Node:
    wanted, result = FUNCTIONS[function]
    if len(arguments) != len(wanted):
        raise ExpressionError(start + 1, f"{function} takes {len(wanted)} values, not {len(arguments)}")
    read = tuple(as_type(each, kind, f"{function}()") for each, kind in zip(arguments, wanted, strict=True))
    return Call(start, end, result, function, read)
