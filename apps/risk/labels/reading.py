"""One label as a client or a file sends it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from apps.risk.labels.services import NewLabel
from apps.risk.transactions.models import Label
from behavior.clock import EPOCH
from behavior.judging import Reason, reason_of, reasons_of_unknown
from behavior.parsing import Invalid, check_storable, json_type, parse_id, parse_time

MAX_NOTE = 2000
MAX_AHEAD = timedelta(minutes=5)


class BadLabel(ValueError):
    """`reasons` name each field that cannot be used; `transaction_id` is None where that is one of them."""

    def __init__(self, transaction_id: str | None, reasons: list[Reason]) -> None:
        super().__init__("; ".join(f"{reason['field']} {reason['message']}" for reason in reasons))
        self.transaction_id = transaction_id
        self.reasons = reasons


def parse_kind(value: Any) -> str:
    if value not in Label.Kind.values:
        raise Invalid("unknown_kind", f"must be one of {', '.join(Label.Kind.values)}")
    return str(value)


def parse_note(value: Any) -> str:
    if type(value) is not str:
        raise Invalid("wrong_type", f"must be a string, not {json_type(value)}")
    check_storable(value)
    if len(value) > MAX_NOTE:
        raise Invalid("length", f"must have at most {MAX_NOTE} characters, has {len(value)}")
    return value


FIELDS: dict[str, Callable[[Any], Any]] = {
    "transaction_id": parse_id,
    "kind": parse_kind,
    "known_at": parse_time,
    "note": parse_note,
}


def read_label(raw: Any, *, now: datetime) -> NewLabel:
    """{transaction_id, kind, known_at?, note?}; known now where it does not say. Raises BadLabel."""
    if type(raw) is not dict:
        raise BadLabel(None, [reason_of("", "wrong_type", f"must be an object, not {json_type(raw)}")])
    reasons: list[Reason] = []
    unknown: list[str] = []
    values: dict[str, Any] = {}
    for name, value in raw.items():
        if name not in FIELDS:
            unknown.append(name)
        elif value is not None:
            try:
                values[name] = FIELDS[name](value)
            except Invalid as problem:
                reasons.append(reason_of(name, problem.code, problem.message))
    reasons += reasons_of_unknown(unknown, FIELDS, noun="a label")
    blamed = {reason["field"] for reason in reasons}
    reasons += [
        reason_of(name, "required", "is missing")
        for name in ("transaction_id", "kind")
        if name not in values and name not in blamed
    ]
    known_at = EPOCH + timedelta(microseconds=values["known_at"]) if "known_at" in values else now
    if known_at > now + MAX_AHEAD:
        reasons.append(reason_of("known_at", "in_future", "lies in the future; set your clock, or leave it out"))
    if reasons:
        raise BadLabel(values.get("transaction_id"), reasons)
    return NewLabel(values["transaction_id"], values["kind"], min(known_at, now), values.get("note", ""))
