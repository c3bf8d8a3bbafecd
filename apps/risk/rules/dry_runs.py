"""One rule on one transaction, with the value of each part, so that an operator sees why it holds or not."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from apps.risk import engine
from apps.risk.assessments.selectors import BY_MODEL_OF_FRAUDS
from apps.risk.lists.services import KEY_KINDS
from apps.risk.models import Transaction
from apps.risk.rules.evaluation import look_up
from apps.risk.rules.fields import facts_of, field_types
from apps.risk.rules.language.single import compile_expression
from apps.risk.rules.language.syntax import Fact, Literal, Node, Type, walk
from apps.risk.rules.services import check_expression
from apps.risk.transactions.selectors import histories
from behavior.parsing import Invalid, parse_boolean, parse_id, parse_number, parse_properties, parse_text
from decisions.models import Decision
from tenancy.secrets import subject_key

# What is made up is read as transactions are, so that a slip is not taken for a fact that is missing.
PARSERS: dict[Type, Callable[[Any], Fact]] = {
    Type.NUMBER: parse_number,
    Type.BOOLEAN: parse_boolean,
    Type.TEXT: parse_text,
    Type.KEY: parse_id,
}


@dataclass(frozen=True)
class Part:
    """A part of the expression as it is written; `column` counts from 1, a value of None is missing."""

    text: str
    column: int
    value: float | str | bool | None


@dataclass(frozen=True)
class DryRun:
    """`parts` from the outside inwards."""

    holds: bool
    parts: list[Part]


class BadFacts(ValueError):
    """Facts that no transaction has."""


def dry_run(expression: str, facts: Mapping[str, Fact]) -> DryRun:
    """Raises ValidationError for an expression that cannot be used."""
    node = check_expression(expression)
    memberships = {(name, field) for (field, _), lists in look_up([facts]).items() for name, _ in lists}
    parts: dict[tuple[int, int], Part] = {}
    for each in walk(node):
        if isinstance(each, Literal):
            continue
        value = compile_expression(each)(facts, lambda name, field: (name, field) in memberships)
        shown = Part(expression[each.start : each.end], each.start + 1, _shown(each, value))
        # A field that is a condition by itself stands in one place twice.
        parts.setdefault((each.start, each.end), shown)
    return DryRun(bool(next(iter(parts.values())).value) if parts else False, list(parts.values()))


def _shown(node: Node, value: Any) -> float | str | bool | None:
    if node.type == Type.KEY:
        return None if value is None else "known"
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def facts_of_stored(transaction: Transaction) -> dict[str, Fact]:
    """The facts as they stood when the transaction happened; its score is that of its assessment.

    As much is read as for an assessment, however busy its parties are.
    """
    pasts = histories([transaction], {transaction.transaction_id: vars(transaction)})
    (features,) = engine.named(engine.velocity(pasts))
    return facts_of(transaction, features=features, score=_score_of(transaction))


def read_facts(given: Mapping[str, Any]) -> dict[str, Fact]:
    """Facts that somebody made up; ids of persons and of what belongs to them are given as clients name them.

    Raises BadFacts.
    """
    if unknown := sorted(given.keys() - field_types().keys() - {"properties"}):
        raise BadFacts(f"'{unknown[0][:60]}' is no field; GET risk/fields names them")
    facts: dict[str, Fact] = {}
    for name, value in given.items():
        try:
            facts[name] = None if value is None else _read_fact(name, value)
        except Invalid as problem:
            raise BadFacts(f"'{name}' {problem.message}") from problem
    return facts


def _read_fact(name: str, value: Any) -> Fact:
    if name == "properties":
        return json.loads(parse_properties(value))
    kind = field_types()[name]
    fact = PARSERS[kind](value)
    return subject_key(KEY_KINDS[name], fact).hex() if kind == Type.KEY else fact


def _score_of(transaction: Transaction) -> float | None:
    if transaction.decision_id is None:
        return None
    by_model = RawSQL(BY_MODEL_OF_FRAUDS, (), BooleanField())
    scored = Decision.objects.filter(by_model, decision_id=transaction.decision_id)
    items = scored.values_list("items", flat=True).first()
    score = items[0].get("score") if items else None
    return float(score) if isinstance(score, int | float) else None
