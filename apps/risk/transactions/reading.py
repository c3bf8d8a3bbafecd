"""One transaction as a client sends it: each field judged, and what it becomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from behavior.clock import EPOCH
from behavior.countries import COUNTRIES
from behavior.currencies import CURRENCIES
from behavior.judging import SUBJECT_FIELDS, SUBJECT_IDS, Reason, reason_of, reasons_of_unknown
from behavior.models import TimeQuality
from behavior.parsing import (
    MAX_ID,
    PARSERS,
    Invalid,
    json_type,
    parse_boolean,
    parse_id,
    parse_number,
    parse_properties,
    parse_time,
    parse_type,
)
from behavior.storing import CONSENT
from tenancy.secrets import subject_key

DEFAULT_TYPE = "payment"
# Its event carries it behind this prefix as message id.
MESSAGE_PREFIX = "risk:"
MAX_TRANSACTION_ID = MAX_ID - len(MESSAGE_PREFIX)
MAX_AHEAD = timedelta(minutes=5)
# Known by pseudonyms alone.
THINGS = ("device", "card", "address")


class BadTransaction(ValueError):
    """`reasons` name each field that cannot be used, with the cure."""

    def __init__(self, reasons: list[Reason]) -> None:
        super().__init__("; ".join(f"{reason['field']} {reason['message']}" for reason in reasons))
        self.reasons = reasons


@dataclass(frozen=True)
class NewTransaction:
    """A transaction that can be assessed. Of device, card and address it has the keys alone.

    `given_amount` is in `currency` where `amount` was brought into the desk's own (`transactions.amounts`).
    """

    transaction_id: str
    subject: Mapping[str, str]
    amount: float
    currency: str
    occurred_at: datetime
    given_at: datetime | None  # as the client said it
    type: str = DEFAULT_TYPE
    counterparty: str | None = None
    device_key: bytes | None = None
    card_key: bytes | None = None
    address_key: bytes | None = None
    country: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    consent: int = 3
    properties: Mapping[str, Any] = field(default_factory=dict)
    given_amount: float | None = None
    time_quality: str = TimeQuality.CLIENT

    @cached_property
    def subject_key(self) -> bytes:
        kind = next(kind for kind in SUBJECT_IDS if kind in self.subject)
        return subject_key(kind, self.subject[kind])


def thing_key(kind: str, raw: str | None, *, secret: bytes | None = None) -> bytes | None:
    """The pseudonym of a device, card or address, which differs between tenants as a subject's does."""
    return None if raw is None else subject_key(kind, raw, secret=secret)


def parse_transaction_id(value: Any) -> str:
    transaction_id = parse_id(value)
    if len(transaction_id) > MAX_TRANSACTION_ID:
        raise Invalid("length", f"must have 1 to {MAX_TRANSACTION_ID} characters, has {len(transaction_id)}")
    return transaction_id


def parse_amount(value: Any) -> float:
    amount = parse_number(value)
    if amount < 0:
        raise Invalid("out_of_range", "must not be negative; a refund is a transaction of a type of its own")
    return amount


def parse_known_currency(value: Any) -> str:
    if type(value) is str and value in CURRENCIES:
        return value
    shown = f"'{value}' is" if type(value) is str and value.isascii() and value.isalpha() and len(value) < 9 else "is"
    raise Invalid("unknown_currency", f"{shown} not an ISO 4217 code in use; send three upper-case letters, e.g. 'EUR'")


def parse_country(value: Any) -> str:
    if type(value) is str and value in COUNTRIES:
        return value
    shown = f"'{value}' is" if type(value) is str and value.isascii() and value.isalpha() and len(value) < 9 else "is"
    example = "GB" if value == "UK" else "DE"
    message = f"{shown} no country of ISO 3166; send its code of two upper-case letters, e.g. '{example}'"
    raise Invalid("unknown_country", message)


def parse_object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Invalid("wrong_type", f"must be an object, not {json_type(value)}")
    parse_properties(value)
    return value


def _degrees(most: float) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        degrees = parse_number(value)
        if abs(degrees) > most:
            raise Invalid("out_of_range", f"must be degrees within ±{most:g}")
        return degrees

    return parse


FIELDS: dict[str, Callable[[Any], Any]] = {
    "transaction_id": parse_transaction_id,
    "amount": parse_amount,
    "currency": parse_known_currency,
    "type": parse_type,
    "counterparty": parse_id,
    "device": parse_id,
    "card": parse_id,
    "address": parse_id,
    "country": parse_country,
    "occurred_at": parse_time,
    "properties": parse_object,
}
NESTED: dict[str, dict[str, Callable[[Any], Any]]] = {
    "subject": {name: PARSERS[name] for name in SUBJECT_FIELDS},
    "location": {"latitude": _degrees(90), "longitude": _degrees(180)},
    "consent": {"personalisation": parse_boolean, "training": parse_boolean},
}
REQUIRED = {
    "transaction_id": "is missing: your own id of it, by which a repeated call is known",
    "amount": "is missing: send a number that is not negative",
    "currency": "is missing: send an ISO 4217 code, e.g. 'EUR'",
}
KNOWN = frozenset({*FIELDS, *NESTED})


def read_transaction(raw: Any, *, now: datetime) -> NewTransaction:
    """A transaction of the tenant in scope. How old it may be is not judged here.

    Raises BadTransaction that names every field that cannot be used.
    """
    if type(raw) is not dict:
        raise BadTransaction([reason_of("", "wrong_type", f"must be an object, not {json_type(raw)}")])
    reasons: list[Reason] = []
    unknown: list[str] = []
    values: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {name: {} for name in NESTED}
    for name, value in raw.items():
        if name in FIELDS:
            _read(values, name, value, FIELDS[name], name, reasons)
        elif name in NESTED:
            _read_nested(nested[name], name, value, reasons)
        else:
            unknown.append(name)
    reasons += reasons_of_unknown(unknown, KNOWN, noun="a transaction")
    blamed = {reason["field"] for reason in reasons}
    missing = [name for name in REQUIRED if name not in values and name not in blamed]
    reasons += [reason_of(name, "required", REQUIRED[name]) for name in missing]
    if not any(kind in nested["subject"] for kind in SUBJECT_IDS) and not any(f.startswith("subject") for f in blamed):
        reasons.append(reason_of("subject", "required", "is missing: send user_id or anonymous_id"))
    if len(nested["location"]) == 1 and not any(f.startswith("location") for f in blamed):
        reasons.append(reason_of("location", "required", "needs both latitude and longitude"))
    given_at = values.pop("occurred_at", None)
    occurred_at, quality = _when(given_at, now, reasons)
    if reasons:
        raise BadTransaction(reasons)
    consent = nested["consent"]
    keys: dict[str, Any] = {f"{name}_key": thing_key(name, values.pop(name, None)) for name in THINGS}
    return NewTransaction(
        **values,
        **keys,
        **nested["location"],
        subject=nested["subject"],
        consent=int(CONSENT[consent.get("personalisation"), consent.get("training")]),
        occurred_at=occurred_at,
        given_at=None if given_at is None else EPOCH + timedelta(microseconds=given_at),
        time_quality=quality,
    )


def _when(given: int | None, now: datetime, reasons: list[Reason]) -> tuple[datetime, str]:
    """(time, its quality). A clock that is a little ahead counts as now; one that is further ahead is refused."""
    if given is None:
        return now, TimeQuality.SERVER
    moment = EPOCH + timedelta(microseconds=given)
    if moment <= now:
        return moment, TimeQuality.CLIENT
    if moment > now + MAX_AHEAD:
        minutes = (moment - now) / timedelta(minutes=1)
        reasons.append(
            reason_of(
                "occurred_at", "in_future", f"lies {minutes:.0f} minutes ahead of us; set your clock, or leave it out"
            )
        )
    return now, TimeQuality.CLAMPED


def _read(
    values: dict[str, Any], name: str, value: Any, parse: Callable[[Any], Any], place: str, reasons: list[Reason]
) -> None:
    parsed = _check(value, parse, place, reasons)
    if parsed is not None:
        values[name] = parsed


def _read_nested(values: dict[str, Any], name: str, raw: Any, reasons: list[Reason]) -> None:
    if raw is None:
        return
    if type(raw) is not dict:
        reasons.append(reason_of(name, "wrong_type", f"must be an object, not {json_type(raw)}"))
        return
    unknown: list[str] = []
    for member, value in raw.items():
        if member in NESTED[name]:
            _read(values, member, value, NESTED[name][member], f"{name}.{member}", reasons)
        else:
            unknown.append(member)
    reasons += reasons_of_unknown(unknown, NESTED[name], noun="a transaction", place=name)


def _check(value: Any, parse: Callable[[Any], Any], place: str, reasons: list[Reason]) -> Any:
    """The parsed value; None, and a reason, where it cannot be used. A field that is null is left out."""
    if value is None:
        return None
    try:
        return parse(value)
    except Invalid as problem:
        reasons.append(reason_of(place, problem.code, problem.message))
        return None
