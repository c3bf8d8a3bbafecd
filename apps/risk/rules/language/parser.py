"""From a rule's text to its typed tree: a Pratt parser, bounded in length, depth and size. Nothing is executed."""

import math
from collections.abc import Mapping
from difflib import get_close_matches

from apps.risk.rules.language import types as typed
from apps.risk.rules.language.syntax import (
    Among,
    Arithmetic,
    Between,
    Compare,
    ExpressionError,
    InList,
    Literal,
    Logic,
    Missing,
    Name,
    Node,
    Not,
    Type,
)
from apps.risk.rules.language.tokens import Token, tokens

MOST_NODES = 400
MOST_DEPTH = 30
MOST_PATH = 8
PROPERTIES = "properties."
# What may be looked up in a list, and what a list may hold.
LISTED = ("card", "device", "address", "subject", "counterparty", "country")
# How strongly an operator binds what stands before it; one from COMPARISONS compares.
BINDING = {"or": 1, "and": 2, "+": 5, "-": 5, "*": 6, "/": 6}
COMPARISON, UNARY = 4, 7
COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "not", "between", "is"})
FUNCTIONS = frozenset({*typed.FUNCTIONS, "in_list"})
WORDS = frozenset({"and", "or", "not", "in", "between", "is", "missing", "true", "false"})
CURES = {"null": "write 'is missing'", "none": "write 'is missing'", "nan": "write 'is missing'"}


def parse(text: str, fields: Mapping[str, Type]) -> Node:
    """The tree of a condition over these fields. Raises ExpressionError that names column, cause and cure."""
    parser = _Parser(text, fields)
    node = typed.as_condition(parser.expression(0))
    parser.expect_end()
    return node


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, Type]) -> None:
        self.tokens = list(tokens(text))
        self.fields = fields
        self.place = 0
        self.depth = 0
        self.nodes = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.next
        self.place += token.kind != "end"
        return token

    def at(self, *values: str) -> bool:
        return self.next.kind in ("word", "sign") and self.next.value in values

    def expect(self, value: str, where: str) -> Token:
        if not self.at(value):
            raise ExpressionError(self.next.column, f"{where} needs '{value}' here{_found(self.next)}")
        return self.take()

    def expect_end(self) -> None:
        if self.next.kind != "end":
            raise ExpressionError(
                self.next.column, f"'{_shown(self.next)}' cannot follow; join conditions with 'and' or 'or'"
            )

    def count(self, node: Node) -> Node:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise ExpressionError(node.start + 1, f"the expression has more than {MOST_NODES} parts; split the rule")
        return node

    def expression(self, binding: int) -> Node:
        """What stands here, as far as its operators bind more strongly than `binding`."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ExpressionError(self.next.column, f"nested more than {MOST_DEPTH} deep; split the rule")
        left = self.count(self.prefix())
        while (strength := self.strength()) > binding:
            left = self.count(self.infix(left, strength))
        self.depth -= 1
        return left

    def strength(self) -> int:
        if self.next.kind not in ("word", "sign"):
            return 0
        return COMPARISON if self.next.value in COMPARISONS else BINDING.get(self.next.value, 0)

    def prefix(self) -> Node:
        token = self.take()
        match token.kind, token.value:
            case "number", digits:
                return self.number(token, digits)
            case "text", value:
                return Literal(token.start, token.end, Type.TEXT, value)
            case "sign", "(":
                inner = self.expression(0)
                self.expect(")", "the bracket that opened before")
                return inner
            case "sign", "-":
                operand = typed.as_type(self.expression(UNARY), Type.NUMBER, "'-'")
                return Arithmetic(
                    token.start,
                    operand.end,
                    Type.NUMBER,
                    "-",
                    Literal(token.start, token.end, Type.NUMBER, 0.0),
                    operand,
                )
            case "word", "not":
                operand = typed.as_condition(self.expression(COMPARISON - 1))
                return Not(token.start, operand.end, Type.CONDITION, operand)
            case "word", "true" | "false":
                return Literal(token.start, token.end, Type.BOOLEAN, float(token.value == "true"))
            case "word", word if word not in WORDS:
                return self.call(token) if self.at("(") else self.name(token)
        raise ExpressionError(token.column, f"a field, number, text or '(' is needed here{_found(token)}")

    def number(self, token: Token, digits: str) -> Node:
        value = float(digits)
        if math.isinf(value):
            raise ExpressionError(token.column, "the number is too large")
        return Literal(token.start, token.end, Type.NUMBER, value)

    def name(self, token: Token) -> Name:
        name = token.value
        if name.startswith(PROPERTIES):
            if name.count(".") > MOST_PATH:
                raise ExpressionError(token.column, f"a property lies at most {MOST_PATH} levels deep")
            return Name(token.start, token.end, Type.ANY, name)
        if name not in self.fields:
            raise ExpressionError(token.column, self.unknown(name))
        return Name(token.start, token.end, self.fields[name], name)

    def unknown(self, name: str) -> str:
        shown = name[:60]
        if cure := CURES.get(name.lower()):
            return f"'{shown}' is no value; {cure}"
        if name.lower() in ("and", "or", "not", "in", "true", "false"):
            return f"'{shown}' is unknown; write '{name.lower()}'"
        close = get_close_matches(shown, [*self.fields, *FUNCTIONS], 1)
        cure = f"did you mean '{close[0]}'?" if close else "see the list of fields; texts stand in quotes"
        return f"'{shown}' is unknown; {cure}"

    def call(self, token: Token) -> Node:
        if token.value not in FUNCTIONS:
            close = get_close_matches(token.value[:60], FUNCTIONS, 1)
            cure = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(sorted(FUNCTIONS))}"
            raise ExpressionError(token.column, f"there is no function '{token.value[:60]}'; {cure}")
        self.take()
        arguments = [self.expression(0)]
        while self.at(","):
            self.take()
            arguments.append(self.expression(0))
        end = self.expect(")", f"{token.value}(")
        if token.value == "in_list":
            return _in_list(token, end, arguments)
        return typed.call(token.value, tuple(arguments), token.start, end.end)

    def infix(self, left: Node, strength: int) -> Node:
        token = self.take()
        if token.value in ("and", "or"):
            right = typed.as_condition(self.expression(strength))
            return _joined(token.value, typed.as_condition(left), right)
        if strength > COMPARISON:
            first, second = (
                typed.as_type(each, Type.NUMBER, f"'{token.value}'") for each in (left, self.expression(strength))
            )
            return Arithmetic(left.start, second.end, Type.NUMBER, token.value, first, second)
        node = self.comparison(token, left)
        if self.strength() == COMPARISON:
            raise ExpressionError(self.next.column, "comparisons cannot follow each other; join them with 'and'")
        return node

    def comparison(self, token: Token, left: Node) -> Node:
        negated = False
        if token.value == "is":
            if self.at("not"):
                self.take()
                negated = True
            end = self.expect("missing", "'is'")
            return Missing(left.start, end.end, Type.CONDITION, typed.as_value(left, "'is missing'"), negated)
        if token.value == "not":
            negated = True
            if not self.at("in", "between"):
                raise ExpressionError(
                    self.next.column, f"after a field 'not' needs 'in' or 'between'{_found(self.next)}"
                )
            token = self.take()
        if token.value == "in":
            return self.among(left, negated)
        if token.value == "between":
            low = self.expression(COMPARISON)
            self.expect("and", "'between'")
            high = self.expression(COMPARISON)
            operand, low, high = (typed.as_type(each, Type.NUMBER, "'between'") for each in (left, low, high))
            return Between(left.start, high.end, Type.CONDITION, operand, low, high, negated)
        right = self.expression(COMPARISON)
        first, second = typed.compared(left, right, token.value)
        return Compare(left.start, right.end, Type.CONDITION, token.value, first, second)

    def among(self, left: Node, negated: bool) -> Node:
        self.expect("[", "'in'")
        values: list[Literal] = []
        while not self.at("]"):
            value = self.count(self.constant())
            assert isinstance(value, Literal)
            values.append(value)
            if not self.at("]"):
                self.expect(",", "the list")
        end = self.take()
        if not values:
            raise ExpressionError(end.column, "the list is empty; name at least one value")
        return Among(
            left.start,
            end.end,
            Type.CONDITION,
            typed.member(left, values),
            tuple(value.value for value in values),
            negated,
        )

    def constant(self) -> Node:
        """A number or text in a list."""
        token = self.take()
        if token.kind == "sign" and token.value == "-" and self.next.kind == "number":
            digits = self.take()
            return Literal(token.start, digits.end, Type.NUMBER, -float(digits.value))
        if token.kind == "number":
            return self.number(token, token.value)
        if token.kind == "text":
            return Literal(token.start, token.end, Type.TEXT, token.value)
        raise ExpressionError(token.column, f"a list holds numbers or texts in quotes{_found(token)}")


def _joined(operator: str, left: Node, right: Node) -> Node:
    """`a and b and c` is one node, so that a long chain is not deep."""
    before = left.operands if isinstance(left, Logic) and left.operator == operator else (left,)
    return Logic(left.start, right.end, Type.CONDITION, operator, (*before, right))


def _in_list(token: Token, end: Token, arguments: list[Node]) -> Node:
    how = 'write it like in_list("blocked cards", card)'
    if len(arguments) != 2:
        raise ExpressionError(token.column, f"in_list takes a list and a field; {how}")
    listed, operand = arguments
    if not (isinstance(listed, Literal) and isinstance(listed.value, str)):
        raise ExpressionError(listed.start + 1, f"the list's name is a text; {how}")
    if not (isinstance(operand, Name) and operand.name in LISTED):
        raise ExpressionError(operand.start + 1, f"a list holds one of {', '.join(LISTED)}; {how}")
    return InList(token.start, end.end, Type.CONDITION, listed.value, operand)


def _shown(token: Token) -> str:
    return token.value[:40].encode("ascii", "backslashreplace").decode()


def _found(token: Token) -> str:
    return ", but the expression ends" if token.kind == "end" else f", not '{_shown(token)}'"
