"""Logins: an event or a request that carries a user's id and a visitor's ties the two in the ledger, by itself."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from django.utils import timezone
from numpy.typing import NDArray
from uuid_utils.compat import uuid7

from behavior.clock import to_micros
from behavior.subjects import Keyring, Subject
from tenancy.scope import current_tenant_id

# First key of the advisory lock on a tenant's ledger of identities; the tenant's id is the second.
LINK_LOCK = 0x5EA
REQUEST = "request"
# A pair that a request brought is not looked up again in this process for so long.
REMEMBERED_SECONDS = 60.0
MOST_REMEMBERED = 100_000

# A device that stays with its user has no new row, nor has one from which an operator has taken the user. OFFSET 0
# makes plain columns of what is sent: under row-level security no index is used for an expression, which could leak.
NEW_LOGINS = """
    FROM (
        SELECT id, visitor, person, to_timestamp(moment / 1000000) AS since, event_id
        FROM unnest(string_to_array(%(ids)s, ' ')::uuid[], string_to_array(%(visitors)s, ' ')::bytea[],
            string_to_array(%(users)s, ' ')::bytea[], string_to_array(%(times)s, ' ')::float8[],
            string_to_array(%(event_ids)s, ' ', '-')::uuid[]) AS sent(id, visitor, person, moment, event_id)
        OFFSET 0
    ) AS login
    WHERE person IS DISTINCT FROM (
            SELECT to_key FROM behavior_identitylink AS known WHERE tenant_id = %(tenant)s AND from_key = visitor
                AND kind = 'login' AND undone_at IS NULL AND known.since <= login.since
            ORDER BY known.since DESC, known.id DESC LIMIT 1)
        AND person IS DISTINCT FROM (
            SELECT to_key FROM behavior_identitylink AS known WHERE tenant_id = %(tenant)s AND from_key = visitor
                AND kind = 'login' AND undone_at IS NULL AND known.since > login.since
            ORDER BY known.since, known.id LIMIT 1)
        AND (SELECT bool_or(undone_at IS NULL) FROM behavior_identitylink WHERE tenant_id = %(tenant)s
                AND from_key = visitor AND to_key = person AND kind = 'login') IS NOT FALSE"""
HAS_NEW = f"SELECT EXISTS (SELECT {NEW_LOGINS})"
# Sorted, so that no probe meets the rows that the statement itself is adding.
INSERT_NEW = f"""
    INSERT INTO behavior_identitylink
        (tenant_id, id, kind, from_key, to_key, since, event_id, source, created_at, undone_by)
    SELECT %(tenant)s, login.id, 'login', visitor, person, login.since, login.event_id, %(source)s, now(), ''
    {NEW_LOGINS} ORDER BY login.since, login.id"""

_remembered: dict[tuple[int, bytes], tuple[float, bytes]] = {}


@dataclass(frozen=True)
class Login:
    """`user_key` showed up on the device of `visitor_key`; both hexadecimal as COPY reads bytea.

    `row` is the event's place in its batch, `moment` its time in microseconds.
    """

    row: int
    visitor_key: str
    user_key: str
    moment: int
    event_id: str | None


def find_logins(
    columns: Mapping[str, Sequence[Any]], keyring: Keyring, numbers: NDArray[np.int32], event_ids: Sequence[Any]
) -> list[Login]:
    """Where devices change hands within a batch's judged columns, in order of time; needs no database.

    `numbers` are those that the batch's caller gave its rows. A visitor with one user has one login, however many
    events carry both ids.
    """
    users, visitors = columns["user_id"], columns["anonymous_id"]
    if not any(visitors) or not any(users):
        return []
    times = columns["occurred_at"]
    last: dict[str, str] = {}
    changes: list[int] = []
    for row in np.argsort(np.asarray(times, dtype=np.int64), kind="stable").tolist():
        user, visitor = users[row], visitors[row]
        if user is not None and visitor is not None and last.get(visitor) != user:
            last[visitor] = user
            changes.append(row)
    user_keys = keyring.keys("user_id", {users[row] for row in changes})
    visitor_keys = keyring.keys("anonymous_id", last)
    return [
        Login(int(numbers[row]), visitor_keys[visitors[row]], user_keys[users[row]], times[row], str(event_ids[row]))
        for row in changes
    ]


def store_logins(logins: Sequence[Login], *, source: str, without_rows: Collection[int] = ()) -> None:
    """Put logins into the ledger that are new to it; `without_rows` are events that were not stored.

    Safe to race: who has something to add waits for the others' transactions, which are about to end.
    """
    logins = [login for login in logins if login.row not in without_rows]
    if not logins:
        return
    values: dict[str, int | str] = {
        "tenant": current_tenant_id(),
        "source": source,
        "ids": " ".join(str(uuid7()) for _ in logins),
        "visitors": " ".join(login.visitor_key for login in logins),
        "users": " ".join(login.user_key for login in logins),
        "times": " ".join(str(login.moment) for login in logins),
        "event_ids": " ".join(login.event_id or "-" for login in logins),
    }
    with connection.cursor() as cursor:
        cursor.execute(HAS_NEW, values)
        if not cursor.fetchone()[0]:
            return
        lock_ledger()
        cursor.execute(INSERT_NEW, values)


def lock_ledger() -> None:
    """Until the transaction ends, no other one adds to the tenant's ledger or takes from it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LINK_LOCK, current_tenant_id()])


def record_login(subject: Subject) -> None:
    """A request that carries both ids is a login. One that was seen a moment ago costs no query.

    Call it near the end of the transaction, since a new login makes those of other requests wait.
    """
    visitor = subject.anonymous_key
    if visitor is None or visitor == subject.key:
        return
    device, now = (current_tenant_id(), visitor), time.monotonic()
    seen_at, user = _remembered.get(device, (0.0, None))
    if user == subject.key and now - seen_at < REMEMBERED_SECONDS:
        return
    login = Login(0, f"\\x{visitor.hex()}", f"\\x{subject.key.hex()}", to_micros(timezone.now()), None)
    store_logins([login], source=REQUEST)
    if len(_remembered) >= MOST_REMEMBERED:
        _remembered.clear()
    _remembered[device] = (now, subject.key)
