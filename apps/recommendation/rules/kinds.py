"""What a rule may say: the values of each kind and the conditions on a request, checked by name."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError

from apps.recommendation.models import RuleKind
from behavior.parsing import Invalid, json_type, parse_properties
from catalog.filter_services import use_filter
from catalog.filters import FilterError

MOST_PLACES = 100
MOST_TERMS = 50
MOST_TEXT = 200

Check = Callable[[Any], str | None]


def _whole(low: int, high: int) -> Check:
    def problem(value: Any) -> str | None:
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if fits else f"must be a whole number from {low} to {high}"

    return problem


def _number(fits: Callable[[float], bool], said: str) -> Check:
    def problem(value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return None if is_number and fits(value) else f"must be a number {said}"

    return problem


def _one_of(*choices: str) -> Check:
    return lambda value: None if value in choices else f"must be one of {', '.join(choices)}"


# By kind, each value with its check; `window` alone may be left out.
VALUES: dict[str, dict[str, Check]] = {
    RuleKind.PIN: {"position": _whole(1, MOST_PLACES)},
    RuleKind.BOOST: {"factor": _number(lambda factor: 1 < factor <= 100, "above 1, at most 100")},
    RuleKind.BURY: {"factor": _number(lambda factor: 0.001 <= factor < 1, "from 0.001, below 1")},
    RuleKind.HIDE: {},
    RuleKind.FILTER: {},
    RuleKind.CAP: {
        "attribute": _one_of("category", "brand"),
        "limit": _whole(1, MOST_PLACES),
        "window": _whole(2, MOST_PLACES),
    },
    RuleKind.PROMOTE: {"share": _whole(1, 100)},
}
OPTIONAL_VALUES = {"window"}


def check_rule(*, kind: str, target: Any, values: Any, condition: Any, starts_at: Any, ends_at: Any) -> None:
    """Raises ValidationError that names each field at fault and the cure.

    Saved filters that the target names are kept from removal until the transaction ends.
    """
    problems = {
        "target": _problem_of_target(kind, target),
        "values": _problem_of_values(kind, values),
        "condition": _problem_of_condition(condition),
        "ends_at": "must be later than starts_at" if starts_at and ends_at and ends_at <= starts_at else None,
    }
    if found := {name: problem for name, problem in problems.items() if problem}:
        raise ValidationError(found)


def _problem_of_target(kind: str, target: Any) -> str | None:
    if target is None:
        return None if kind == RuleKind.CAP else 'is needed: the items that it is about, such as {"eq": ...}'
    try:
        parse_properties(target)
        use_filter(target)
    except (FilterError, Invalid) as error:
        return str(error)
    return None


def _problem_of_values(kind: str, values: Any) -> str | None:
    if not isinstance(values, dict):
        return f"must be an object, not {json_type(values)}"
    known = VALUES[kind]
    if unknown := sorted(values.keys() - known.keys()):
        return f"'{unknown[0][:50]}' is no value of {kind}; it has {', '.join(known) or 'none'}"
    if missing := sorted(known.keys() - values.keys() - OPTIONAL_VALUES):
        return f"needs '{missing[0]}'"
    for name, value in values.items():
        if problem := known[name](value):
            return f"'{name}' {problem}"
    if kind == RuleKind.CAP and values.get("window", MOST_PLACES + 1) <= values["limit"]:
        return "'window' must be larger than 'limit', or nothing is capped"
    return None


def _problem_of_condition(condition: Any) -> str | None:
    if not isinstance(condition, dict):
        return f"must be an object, not {json_type(condition)}"
    for name, value in condition.items():
        if name not in CONDITIONS:
            return f"'{name[:50]}' is not known; known are {', '.join(CONDITIONS)}"
        if problem := CONDITIONS[name](value):
            return f"'{name}' {problem}"
    try:
        parse_properties(condition)
    except Invalid as error:
        return error.message
    return None


def _problem_of_texts(value: Any) -> str | None:
    is_list = isinstance(value, list) and 1 <= len(value) <= MOST_TERMS
    if not is_list or not all(isinstance(each, str) and 1 <= len(each.strip()) <= MOST_TEXT for each in value):
        return f"must be a list of 1 to {MOST_TERMS} texts"
    return None


def _problem_of_context(value: Any) -> str | None:
    if not isinstance(value, dict) or not 1 <= len(value) <= MOST_TERMS:
        return 'must be an object such as {"device": "mobile"}'
    if any(isinstance(each, dict | list) for each in value.values()):
        return "must hold text, numbers, true, false or null"
    return None


def _problem_of_weekdays(value: Any) -> str | None:
    is_list = isinstance(value, list) and 1 <= len(value) <= 7
    if not is_list or any(_whole(1, 7)(day) for day in value):
        return "must be a list of days from 1 (Monday) to 7 (Sunday)"
    return None


def _problem_of_hours(value: Any) -> str | None:
    if not isinstance(value, dict) or value.keys() != {"from", "until"}:
        return 'must be an object such as {"from": 17, "until": 20}, hours in UTC'
    if _whole(0, 23)(value["from"]) or _whole(1, 24)(value["until"]) or value["from"] == value["until"]:
        return "must go from an hour (0 to 23) until another one (1 to 24)"
    return None


CONDITIONS: dict[str, Check] = {
    "context": _problem_of_context,
    "query": _problem_of_texts,
    "category": _problem_of_texts,
    "weekdays": _problem_of_weekdays,
    "hours": _problem_of_hours,
}


def holds(condition: Mapping[str, Any], context: Mapping[str, Any], now: datetime) -> bool:
    """Whether a request with this context, at this time (UTC), meets everything that the condition names."""
    return all(HOLDS[name](wanted, context, now) for name, wanted in condition.items())


def _context_holds(wanted: Mapping[str, Any], context: Mapping[str, Any], now: datetime) -> bool:
    return all(name in context and _same(context[name], value) for name, value in wanted.items())


def _same(one: Any, other: Any) -> bool:
    """Equal in JSON, where true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _query_holds(wanted: list[str], context: Mapping[str, Any], now: datetime) -> bool:
    query = context.get("query")
    if not isinstance(query, str):
        return False
    words = " ".join(query.casefold().split())
    return any(_said(" ".join(term.casefold().split()), words) for term in wanted)


def _said(term: str, words: str) -> bool:
    """Whole words; scripts that put no space between words are searched as they are."""
    return f" {term} " in f" {words} " if term.isascii() else term in words


def _category_holds(wanted: list[str], context: Mapping[str, Any], now: datetime) -> bool:
    category = context.get("category")
    shown = category if isinstance(category, list) else [category]
    return any(each in shown for each in wanted)


def _weekdays_hold(wanted: list[int], context: Mapping[str, Any], now: datetime) -> bool:
    return now.isoweekday() in wanted


def _hours_hold(wanted: Mapping[str, int], context: Mapping[str, Any], now: datetime) -> bool:
    start, end = wanted["from"], wanted["until"]
    return start <= now.hour < end if start < end else now.hour >= start or now.hour < end


HOLDS: dict[str, Callable[[Any, Mapping[str, Any], datetime], bool]] = {
    "context": _context_holds,
    "query": _query_holds,
    "category": _category_holds,
    "weekdays": _weekdays_hold,
    "hours": _hours_hold,
}
