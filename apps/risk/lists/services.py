"""Writes of lists. Each one leaves a row in the list's history."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.risk.lists.models import EntityList, ListChange, ListEntry, ListField
from apps.risk.lists.selectors import taken_out
from apps.risk.rules.fields import read_expression
from apps.risk.rules.language.syntax import ExpressionError, lists
from apps.risk.rules.models import RiskRule
from apps.risk.transactions.reading import parse_country
from behavior.parsing import MAX_ID, Invalid, parse_id, parse_subject_id
from tenancy.secrets import subject_key, subject_secret

MOST_LISTS = 200
MOST_ENTRIES_AT_ONCE = 10_000
MOST_VALUE = MAX_ID
# Of these only a keyed hash is kept, as transactions keep it.
KEY_KINDS = {
    ListField.CARD.value: "card",
    ListField.DEVICE.value: "device",
    ListField.ADDRESS.value: "address",
    ListField.SUBJECT.value: "user_id",
}

# As transactions are read, or an entry could never be met.
PARSERS: dict[str, Callable[[Any], str]] = {
    ListField.COUNTRY: parse_country,
    ListField.SUBJECT: parse_subject_id,
}


@dataclass(frozen=True)
class NewEntry:
    """`value` as the client names it."""

    value: str
    note: str = ""
    expires_at: datetime | None = None


class ListInUse(Exception):
    """A rule asks for the list."""


@transaction.atomic
def create_list(*, name: str, kind: str, field: str, actor: str, description: str = "") -> EntityList:
    """Raises ValidationError that names each field at fault."""
    if EntityList.objects.count() >= MOST_LISTS:
        raise ValidationError({"name": f"there are {MOST_LISTS} lists already; remove some first"})
    made = EntityList(name=name, kind=kind, field=field, description=description, created_by=actor)
    made.clean_fields()
    if EntityList.objects.filter(name=name).exists():
        raise ValidationError({"name": f"there is a list '{name}' already; choose another name"})
    made.save()
    _record(made, ListChange.Action.CREATED, actor, kind=kind, field=field)
    return made


@transaction.atomic
def remove_list(*, list_id: UUID, actor: str) -> None:
    """Remove the list with its entries. Raises EntityList.DoesNotExist, and ListInUse where a rule asks for it."""
    found = EntityList.objects.select_for_update().get(id=list_id)
    if users := rules_that_ask(found.name):
        raise ListInUse(f"the rules {', '.join(users)} ask for the list '{found.name}'; change them first")
    entries = found.entries.count()
    found.delete()
    _record(found, ListChange.Action.REMOVED, actor, entries=entries)


@transaction.atomic
def add_entries(*, list_id: UUID, entries: Sequence[NewEntry], actor: str) -> int:
    """Add values, or give those that are there their new note and expiry; how many were new. One statement.

    Raises EntityList.DoesNotExist and ValidationError.
    """
    found = EntityList.objects.select_for_update().get(id=list_id)
    if len(entries) > MOST_ENTRIES_AT_ONCE:
        raise ValidationError({"entries": f"at most {MOST_ENTRIES_AT_ONCE} at once; send them in several calls"})
    by_value = dict(zip(_stored(found.field, entries), entries, strict=True))
    known = found.entries.filter(value__in=by_value).count()
    ListEntry.objects.bulk_create(
        [
            ListEntry(list=found, value=value, note=entry.note, expires_at=entry.expires_at, added_by=actor)
            for value, entry in by_value.items()
        ],
        update_conflicts=True,
        unique_fields=["tenant", "list", "value"],
        update_fields=["note", "expires_at", "added_by"],
    )
    _record(found, ListChange.Action.ADDED, actor, new=len(by_value) - known, again=known)
    return len(by_value) - known


@transaction.atomic
def remove_entry(*, list_id: UUID, entry_id: UUID, actor: str) -> None:
    """Raises ListEntry.DoesNotExist."""
    entry = ListEntry.objects.select_related("list").get(id=entry_id, list_id=list_id)
    entry.delete()
    expires_at = entry.expires_at.isoformat() if entry.expires_at else None
    _record(entry.list, ListChange.Action.TAKEN_OUT, actor, value=entry.value, note=entry.note, expires_at=expires_at)


@transaction.atomic
def put_back(*, list_id: UUID, change_id: UUID, actor: str) -> None:
    """The entry that this change took out, with its note and expiry; one that was added again since stays as it is.

    Raises EntityList.DoesNotExist, ListChange.DoesNotExist, and ValidationError where it would have expired by now.
    """
    found = EntityList.objects.select_for_update().get(id=list_id)
    taken = taken_out(found).get(id=change_id).details
    expires_at = parse_datetime(taken.get("expires_at") or "")
    if expires_at and expires_at <= timezone.now():
        raise ValidationError("the entry has expired since; add it again with a later time, or none")
    _, is_new = ListEntry.objects.get_or_create(
        list=found,
        value=taken["value"],
        defaults={"note": taken["note"], "expires_at": expires_at, "added_by": actor},
    )
    if is_new:
        _record(found, ListChange.Action.ADDED, actor, value=taken["value"], note=taken["note"])


def rules_that_ask(name: str) -> list[str]:
    """Keys of the rules whose expression asks for the list."""
    rules = RiskRule.objects.filter(removed_at=None, expression__contains="in_list")
    return [key for key, expression in rules.values_list("key", "expression") if name in _lists_of(expression)]


def _lists_of(expression: str) -> Iterable[str]:
    try:
        return lists(read_expression(expression))
    except ExpressionError:
        return ()


def _stored(field: str, entries: Sequence[NewEntry]) -> list[str]:
    """The values as entries hold them. Raises ValidationError that names the first that cannot be one."""
    read = PARSERS.get(field, parse_id)
    values = []
    for number, entry in enumerate(entries):
        if entry.expires_at and entry.expires_at <= timezone.now():
            raise ValidationError({"entries": f"[{number}].expires_at has passed; choose a later time, or none"})
        try:
            values.append(read(entry.value))
        except Invalid as problem:
            raise ValidationError({"entries": f"[{number}].value {problem.message}"}) from problem
    if field not in KEY_KINDS:
        return values
    secret = subject_secret()
    return [subject_key(KEY_KINDS[field], value, secret=secret).hex() for value in values]


def stored_value(field: str, value: str) -> str:
    """A value of a client as the entries of a list of this field hold it. Raises ValidationError."""
    try:
        read = PARSERS.get(field, parse_id)(value)
    except Invalid as problem:
        raise ValidationError({"value": problem.message}) from problem
    return subject_key(KEY_KINDS[field], read).hex() if field in KEY_KINDS else read


def _record(found: EntityList, action: ListChange.Action, actor: str, **details: object) -> None:
    ListChange.objects.create(list_name=found.name, action=action, actor=actor, details=details)
