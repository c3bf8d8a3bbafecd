"""A rule's text in words, numbers, texts and signs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from apps.risk.rules.language.syntax import ExpressionError

MOST_CHARACTERS = 4_000
# Each branch reads forward only, so the time grows with the length of the text and no faster.
TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,4})?(?![\w.]))
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*)
    |(?P<sign>==|!=|<=|>=|[<>+\-*/(),\[\]])""",
    re.VERBOSE | re.DOTALL,
)
CURES = {
    "&&": "write 'and'",
    "||": "write 'or'",
    "!": "write 'not', or '!=' for unequal",
    "=": "write '==' to compare",
    "<>": "write '!='",
    '"': "the text has no closing quote",
    "'": "the text has no closing quote",
}


@dataclass(frozen=True)
class Token:
    """`kind` is number, text, word, sign or end; `value` is a text without its quotes."""

    kind: str
    value: str
    start: int
    end: int

    @property
    def column(self) -> int:
        return self.start + 1


def tokens(text: str) -> Iterator[Token]:
    """The tokens of the text and one for its end. Raises ExpressionError."""
    if len(text) > MOST_CHARACTERS:
        message = f"the expression has {len(text)} characters; at most {MOST_CHARACTERS} are allowed, so use a list"
        raise ExpressionError(MOST_CHARACTERS + 1, message)
    place = 0
    while place < len(text):
        found = TOKEN.match(text, place)
        if found is None:
            raise ExpressionError(place + 1, _unreadable(text, place))
        kind, value = str(found.lastgroup), found.group()
        if kind == "text":
            value = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
            _check_text(value, place)
        if kind != "space":
            yield Token(kind, value, place, found.end())
        place = found.end()
    yield Token("end", "", len(text), len(text))


def _unreadable(text: str, place: int) -> str:
    for sign, cure in CURES.items():
        if text.startswith(sign, place):
            return f"{sign} cannot stand here; {cure}"
    if text[place].isdigit():
        return "this is no number; write it like 1250 or 0.5"
    return f"{text[place]!a} cannot stand here; texts stand in quotes"


def _check_text(value: str, place: int) -> None:
    """What the database cannot store is not a text that any transaction could have."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ExpressionError(place + 1, "the text holds a character that no field can have; take it out")
