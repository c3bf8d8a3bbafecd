"""Whether a repeated call tells of the same transaction as the one that is stored."""

import json
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

from apps.risk.assessments.selectors import Answer
from apps.risk.transactions.amounts import as_given
from apps.risk.transactions.reading import NewTransaction

COMPARED = (
    "currency",
    "type",
    "counterparty",
    "device_key",
    "card_key",
    "address_key",
    "country",
    "latitude",
    "longitude",
)
SHOWN = {
    "subject_key": "subject",
    "device_key": "device",
    "card_key": "card",
    "address_key": "address",
    "latitude": "location.latitude",
    "longitude": "location.longitude",
}


def difference(transaction: NewTransaction, stored: Mapping[str, Any], answer: Answer | None) -> str | None:
    """The first field that differs, None where all is the same.

    One that was imported may know more or less than the call: only what both name is compared.
    """
    was_imported = answer is None or answer.was_imported
    if transaction.subject_key != stored["subject_key"]:
        return "subject"
    if as_given(transaction) != (stored["amount"] if stored["given_amount"] is None else stored["given_amount"]):
        return "amount"
    for name in COMPARED:
        said, kept = getattr(transaction, name), stored[name]
        if said != kept and not (was_imported and (None in (said, kept) or name == "type")):
            return SHOWN.get(name, name)
    if answer is None or answer.was_imported:
        return None if transaction.given_at in (None, stored["occurred_at"]) else "occurred_at"
    if _as_stored(transaction.properties) != _as_stored(stored["properties"]):
        return "properties"
    given = None if transaction.given_at is None else transaction.given_at.isoformat()
    return None if given == answer.given_at else "occurred_at"


def _as_stored(properties: Mapping[str, Any]) -> Any:
    """With the numbers that the database makes of it, which are decimal: it gives 1e23 back as a whole number."""
    return json.loads(json.dumps(properties), parse_int=Decimal, parse_float=Decimal)


def difference_within(first: NewTransaction, second: NewTransaction) -> str | None:
    """The first field in which two transactions of one call differ, None where they are the same."""
    differing = (
        each.name for each in fields(NewTransaction) if getattr(first, each.name) != getattr(second, each.name)
    )
    return next((SHOWN.get(name, name) for name in differing), None)
