"""One labelled example as a client or a file sends it."""

import hashlib
from dataclasses import dataclass
from typing import Any

from behavior.judging import Reason, reason_of
from behavior.parsing import Invalid, check_storable, json_type
from catalog.text_analysis import fold

MOST_TEXT = 2_000
MOST_NAME = 100
# Stands where an intent is named, for texts that no intent of the tenant covers; no intent may have this name.
OUT_OF_SCOPE = "out_of_scope"
FIELDS = ("text", "intent")


@dataclass(frozen=True)
class NewExample:
    """`intent` is a name, None for a text out of scope."""

    text: str
    intent: str | None

    @property
    def key(self) -> str:
        return text_key(self.text)


class BadExample(ValueError):
    """`reasons` name each field that cannot be used."""

    def __init__(self, reasons: list[Reason]) -> None:
        super().__init__("; ".join(f"{reason['field']} {reason['message']}" for reason in reasons))
        self.reasons = reasons


def read_example(raw: Any) -> NewExample:
    """{text, intent}. Raises BadExample."""
    if type(raw) is not dict:
        raise BadExample([reason_of("", "wrong_type", f"must be an object, not {json_type(raw)}")])
    reasons = [
        reason_of(_shown(name), "unknown_field", f"is not a field; known are {', '.join(FIELDS)}")
        for name in raw
        if name not in FIELDS
    ]
    values: dict[str, str] = {}
    for name, most in (("text", MOST_TEXT), ("intent", MOST_NAME)):
        try:
            values[name] = _parse(raw.get(name), most)
        except Invalid as problem:
            reasons.append(reason_of(name, problem.code, problem.message))
    if reasons:
        raise BadExample(reasons)
    return NewExample(values["text"], None if values["intent"] == OUT_OF_SCOPE else values["intent"])


def text_key(text: str) -> str:
    """SHA-256 in hexadecimal of the text without differences of case, width, accents and white space."""
    return hashlib.sha256(" ".join(fold(text).split()).encode()).hexdigest()


def _parse(value: Any, most: int) -> str:
    if value is None:
        raise Invalid("required", "is missing")
    if type(value) is not str:
        raise Invalid("wrong_type", f"must be a string, not {json_type(value)}")
    check_storable(value)
    value = value.strip()
    if not 1 <= len(value) <= most:
        raise Invalid("length", f"must have 1 to {most:,} characters, has {len(value):,}")
    return value


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode().replace("\0", "\\0")[:200]
