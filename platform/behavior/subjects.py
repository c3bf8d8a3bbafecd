"""Who did it: raw subject ids become keys at the door, and the raw id goes, sealed, into the vault."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from behavior.judging import NESTED, SUBJECT_FIELDS, Reason, reason_of
from behavior.parsing import PARSERS, Invalid, json_type
from tenancy.scope import current_tenant_id
from tenancy.secrets import decrypt, encrypt, subject_key

Identities = dict[str, dict[str, str]]  # kind -> raw id -> key as COPY reads bytea
MOST_REMEMBERED = 1_000_000
# OFFSET 0 keeps this an index probe for each key; as a join it would read the whole vault. Keys travel as one text,
# which is many times faster than an array parameter.
UNKNOWN = """
    SELECT key FROM unnest(string_to_array(%s, ' ')) AS wanted(key) WHERE NOT EXISTS (
        SELECT FROM behavior_subjectidentity known
        WHERE known.tenant_id = %s AND known.subject_key = wanted.key::bytea OFFSET 0)"""
INSERT_IDENTITIES = """
    INSERT INTO behavior_subjectidentity (tenant_id, subject_key, kind, sealed_id, created_at)
    SELECT %s, key::bytea, kind, sealed::bytea, now()
    FROM unnest(string_to_array(%s, ' '), string_to_array(%s, ' '), string_to_array(%s, ' ')) AS new(key, kind, sealed)
    ON CONFLICT DO NOTHING"""


class BadSubject(ValueError):
    """A subject that names no one; `reasons` say which field and why."""

    def __init__(self, reasons: list[Reason]) -> None:
        super().__init__("; ".join(f"{reason['field']} {reason['message']}" for reason in reasons))
        self.reasons = reasons


@dataclass(frozen=True)
class Subject:
    """Keys of a subject. `key` is the user's when known, else the anonymous visitor's."""

    key: bytes
    anonymous_key: bytes | None
    session_key: bytes | None

    @property
    def keys(self) -> list[bytes]:
        """The keys that the request names, the user's first; `behavior.selectors.PERSON` adds what is tied to them."""
        return [self.key] if self.anonymous_key in (None, self.key) else [self.key, self.anonymous_key or self.key]


def read_subject(raw: Any) -> Subject:
    """Keys of {"user_id"?, "anonymous_id"?, "session_id"?} of a request. Raises BadSubject."""
    if type(raw) is not dict:
        raise BadSubject([reason_of("subject", "wrong_type", f"must be an object, not {json_type(raw)}")])
    reasons = [
        reason_of(f"subject.{name}", "unknown_field", f"is not one of {', '.join(SUBJECT_FIELDS)}")
        for name in raw
        if name not in SUBJECT_FIELDS
    ]
    keys: dict[str, bytes] = {}
    for name in SUBJECT_FIELDS:
        if raw.get(name) is None:
            continue
        try:
            keys[name] = subject_key(name, PARSERS[name](raw[name]))
        except Invalid as problem:
            reasons.append(reason_of(NESTED[name], problem.code, problem.message))
    key = keys.get("user_id") or keys.get("anonymous_id")
    if key is None and not reasons:
        reasons.append(reason_of("subject", "required", "is missing: send user_id or anonymous_id"))
    if key is None or reasons:
        raise BadSubject(reasons)
    return Subject(key, keys.get("anonymous_id"), keys.get("session_id"))


class Keyring:
    """Keys under one tenant's secret, hexadecimal as COPY reads bytea; each raw id is hashed once."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self.known: Identities = {kind: {} for kind in SUBJECT_FIELDS}

    def keys(self, kind: str, raw_ids: Iterable[str]) -> dict[str, str]:
        known = self.known[kind]
        if len(known) > MOST_REMEMBERED:
            known.clear()
        for raw_id in raw_ids:
            if raw_id not in known:
                known[raw_id] = "\\x" + subject_key(kind, raw_id, secret=self.secret).hex()
        return {raw_id: known[raw_id] for raw_id in raw_ids}


def subject_keys(columns: Mapping[str, Sequence[str | None]], keyring: Keyring) -> tuple[list[str], Identities]:
    """(key of each row of judged columns, who has which key): the user's where there is one, else the visitor's."""
    users, visitors = columns["user_id"], columns["anonymous_id"]
    pairs = list(zip(users, visitors, strict=True))
    lone_visitors = {str(visitor) for user, visitor in pairs if user is None} if None in users else set()
    user_keys = keyring.keys("user_id", {user for user in users if user is not None})
    visitor_keys = keyring.keys("anonymous_id", lone_visitors)
    keys = [visitor_keys[str(visitor)] if user is None else user_keys[user] for user, visitor in pairs]
    return keys, {"user_id": user_keys, "anonymous_id": visitor_keys}


def session_keys(sessions: Sequence[str | None], keyring: Keyring) -> list[str | None]:
    keys = keyring.keys("session_id", {session for session in sessions if session is not None})
    return [None if session is None else keys[session] for session in sessions]


@dataclass(frozen=True)
class Sealed:
    """Raw ids ready for the vault, in order of key: keys, kinds and ciphertexts, as the INSERT takes them."""

    columns: tuple[str, str, str]


def seal(identities: Identities, tenant_id: int, passed_over: set[str]) -> Sealed:
    """Ids whose keys are not in `passed_over`, which grows by them. Needs no database, so a thread can work ahead."""
    if len(passed_over) > MOST_REMEMBERED:
        passed_over.clear()
    new = sorted(
        (key, kind, raw_id)
        for kind, keys in identities.items()
        for raw_id, key in keys.items()
        if key not in passed_over
    )
    passed_over.update(key for key, _, _ in new)
    ciphertexts = ["\\x" + encrypt(raw_id.encode(), tenant_id).hex() for _, _, raw_id in new]
    return Sealed((" ".join(key for key, _, _ in new), " ".join(kind for _, kind, _ in new), " ".join(ciphertexts)))


def remember(sealed: Sealed) -> None:
    """Put ids into the vault that it does not hold yet."""
    if sealed.columns[0]:
        with connection.cursor() as cursor:
            cursor.execute(INSERT_IDENTITIES, [current_tenant_id(), *sealed.columns])


def seal_unknown(identities: Identities) -> Sealed:
    """Only the ids that the vault lacks: asking is cheaper than sealing where most subjects are known."""
    keys = {key for keys_of_kind in identities.values() for key in keys_of_kind.values()}
    with connection.cursor() as cursor:
        cursor.execute(UNKNOWN, [" ".join(keys), current_tenant_id()])
        unknown = {key for (key,) in cursor.fetchall()}
    return seal(identities, current_tenant_id(), keys - unknown)


@dataclass(frozen=True)
class RawId:
    """A subject as the client names it; `kind` is user_id or anonymous_id."""

    kind: str
    value: str


def open_vault(keys: Sequence[bytes]) -> dict[bytes, RawId]:
    """The raw ids behind keys, as far as the vault holds them; one query. Only the application may read them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT subject_key, kind, sealed_id FROM behavior_subjectidentity "
            "WHERE tenant_id = %s AND subject_key = ANY(%s)",
            [current_tenant_id(), list(keys)],
        )
        return {bytes(key): RawId(kind, decrypt(bytes(sealed)).decode()) for key, kind, sealed in cursor.fetchall()}


def is_known(key: bytes) -> bool:
    """Whether the vault holds the id behind a key; one query, open to the console, for which the id stays shut."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM behavior_subjectidentity WHERE tenant_id = %s AND subject_key = %s)",
            [current_tenant_id(), key],
        )
        (known,) = cursor.fetchone()
    return bool(known)
