"""What rules may ask of a transaction, in words, and how its facts are put together."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Protocol

from apps.risk import engine
from apps.risk.rules.language.parser import parse
from apps.risk.rules.language.syntax import Fact, Node, Type

TRANSACTION = {
    "amount": (Type.NUMBER, "amount in the desk's currency"),
    "currency": (Type.TEXT, "ISO 4217 code, such as 'EUR', as the client named it"),
    "type": (Type.TEXT, "such as 'payment' or 'withdrawal'"),
    "counterparty": (Type.TEXT, "merchant, terminal or payee, as the client names it"),
    "country": (Type.TEXT, "ISO 3166 code, such as 'DE'"),
    "latitude": (Type.NUMBER, "degrees"),
    "longitude": (Type.NUMBER, "degrees"),
    "subject": (Type.KEY, "the customer"),
    "card": (Type.KEY, "the card"),
    "device": (Type.KEY, "the device"),
    "address": (Type.KEY, "the address"),
}
SCORE = "probability of fraud by the model, from 0 to 1; missing where no model answered"
_PLAIN = tuple(name for name, (kind, _) in TRANSACTION.items() if kind != Type.KEY)
_KEYS = tuple(name for name, (kind, _) in TRANSACTION.items() if kind == Type.KEY)
_plain_of, _keys_of = attrgetter(*_PLAIN), attrgetter(*(f"{name}_key" for name in _KEYS))
# Features that are 1 or 0.
YES_OR_NO = frozenset({"is_night", "is_weekend", "new_counterparty"})


@dataclass(frozen=True)
class FieldWords:
    """A field as an operator reads about it; `group` is transaction, velocity or model."""

    name: str
    type: Type
    group: str
    description: str


class StoredTransaction(Protocol):
    """What a stored transaction and one that is just being assessed have in common."""

    @property
    def amount(self) -> float: ...
    @property
    def currency(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def counterparty(self) -> str | None: ...
    @property
    def country(self) -> str | None: ...
    @property
    def latitude(self) -> float | None: ...
    @property
    def longitude(self) -> float | None: ...
    @property
    def subject_key(self) -> Any: ...
    @property
    def card_key(self) -> Any: ...
    @property
    def device_key(self) -> Any: ...
    @property
    def address_key(self) -> Any: ...
    @property
    def properties(self) -> Any: ...


@cache
def fields() -> tuple[FieldWords, ...]:
    own = [FieldWords(name, kind, "transaction", words) for name, (kind, words) in TRANSACTION.items()]
    velocity = [
        FieldWords(name, Type.BOOLEAN if name in YES_OR_NO else Type.NUMBER, "velocity", words)
        for name, words in engine.describe_features().items()
        if name not in TRANSACTION
    ]
    return (*own, FieldWords("score", Type.NUMBER, "model", SCORE), *velocity)


@cache
def field_types() -> dict[str, Type]:
    """The type of each field, by name."""
    return {field.name: field.type for field in fields()}


def read_expression(text: str) -> Node:
    """Raises ExpressionError."""
    return parse(text, field_types())


def facts_of(
    transaction: StoredTransaction, *, features: Mapping[str, float | None], score: float | None
) -> dict[str, Fact]:
    """The facts that rules judge a transaction by. What is personal is its key, in hexadecimal."""
    facts: dict[str, Fact] = dict(features)
    facts |= zip(_PLAIN, _plain_of(transaction), strict=True)
    for name, key in zip(_KEYS, _keys_of(transaction), strict=True):
        facts[name] = None if key is None else bytes(key).hex()
    facts["score"], facts["properties"] = score, transaction.properties
    return facts
