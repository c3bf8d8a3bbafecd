"""Who is who: ties between keys that people make on purpose, taking them apart, and what is tied to a key.

Logins tie keys by themselves (behavior/logins.py). Every write here first locks the tenant's ledger.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from behavior.logins import lock_ledger
from behavior.models import IdentityLink, SubjectIdentity
from behavior.selectors import PERSON, person_values
from behavior.subjects import remember, seal_unknown
from tenancy.scope import current_tenant_id
from tenancy.secrets import subject_key

LOGIN, MERGE = IdentityLink.Kind.LOGIN, IdentityLink.Kind.MERGE
# Each of a person's keys is an index probe in every answer.
MOST_USERS = 20
SHOWN_LINKS = 200
IDENTITY = f"""
    SELECT key, nullif(after, '-infinity'), nullif(until, 'infinity'), EXISTS (
        SELECT FROM behavior_identitylink WHERE from_key = key AND kind = 'login')
    FROM {PERSON} ORDER BY after, key"""


class UnknownSubject(ValueError):
    """`field` holds an id under which nothing was ever received."""

    def __init__(self, field: str, raw_id: str) -> None:
        super().__init__(f"'{raw_id}' is not known: send an event of it first, or mend the id")
        self.field = field


class LinkRefused(ValueError):
    """The ledger stands against it; the message says how."""


def link(*, user_id: str, anonymous_id: str, actor: str) -> tuple[IdentityLink, bool]:
    """Tie a visitor to a user as a login does. Returns (link, whether it is new).

    A pair that was taken apart is put back as it was. The user may be new. Raises UnknownSubject for the visitor.
    """
    visitor_key = _known_key("anonymous_id", anonymous_id, field="anonymous_id")
    user_key = subject_key("user_id", user_id)
    remember(seal_unknown({"user_id": {user_id: f"\\x{user_key.hex()}"}}))
    return _link_keys(visitor_key, user_key, actor=actor)


def merge(*, from_user_id: str, to_user_id: str, actor: str) -> tuple[IdentityLink, bool]:
    """Two users are one person. Returns (link, whether it is new). Raises UnknownSubject or LinkRefused."""
    if from_user_id == to_user_id:
        raise LinkRefused("both ids are the same user; name two")
    from_key = _known_key("user_id", from_user_id, field="from_user_id")
    to_key = _known_key("user_id", to_user_id, field="to_user_id")
    return _merge_keys(from_key, to_key, actor=actor)


def undo(*, link_id: UUID, kind: IdentityLink.Kind, actor: str) -> IdentityLink:
    """Take the two keys of a link apart; the rows stay as history. Raises IdentityLink.DoesNotExist.

    Undoes every row of the pair, and logins do not tie it again: only `link`, `merge` and `restore` do. Safe to repeat.
    """
    lock_ledger()
    row = IdentityLink.objects.get(id=link_id, kind=kind)
    _active(kind, bytes(row.from_key), bytes(row.to_key)).update(undone_at=timezone.now(), undone_by=actor)
    row.refresh_from_db()
    return row


def restore(*, link_id: UUID, actor: str) -> tuple[IdentityLink, bool]:
    """Undo the undoing of a link. Returns (link, whether it is new).

    Raises LinkRefused, and IdentityLink.DoesNotExist.
    """
    row = IdentityLink.objects.get(id=link_id)
    tie = _link_keys if row.kind == LOGIN else _merge_keys
    return tie(bytes(row.from_key), bytes(row.to_key), actor=actor)


def _link_keys(visitor_key: bytes, user_key: bytes, *, actor: str) -> tuple[IdentityLink, bool]:
    lock_ledger()
    of_device = IdentityLink.objects.filter(kind=LOGIN, from_key=visitor_key).order_by("-since", "-id")
    last = of_device.filter(undone_at=None).first()
    if last and bytes(last.to_key) == user_key:
        return last, False
    of_pair = of_device.filter(to_key=user_key)
    last_undone = of_pair.exclude(undone_at=None).order_by("-undone_at").first()
    if last_undone is None or of_pair.filter(undone_at=None).exists():
        return _add(LOGIN, visitor_key, user_key, [timezone.now()], actor), True
    times = of_pair.filter(undone_at=last_undone.undone_at).values_list("since", flat=True)
    return _add(LOGIN, visitor_key, user_key, list(times), actor), True


def _merge_keys(from_key: bytes, to_key: bytes, *, actor: str) -> tuple[IdentityLink, bool]:
    lock_ledger()
    if existing := _active(MERGE, from_key, to_key).first():
        return existing, False
    merged, others = merged_users(from_key), merged_users(to_key)
    if to_key in merged:
        raise LinkRefused("the two are one person already, by other merges; undo one of those first")
    if len(merged) + len(others) > MOST_USERS:
        raise LinkRefused(f"a person can have at most {MOST_USERS} user ids; undo a merge first")
    return _add(MERGE, from_key, to_key, [timezone.now()], actor), True


def _add(
    kind: IdentityLink.Kind, from_key: bytes, to_key: bytes, times: Iterable[datetime], actor: str
) -> IdentityLink:
    """One row for each time, newest first; returns the newest."""
    rows = [IdentityLink(kind=kind, from_key=from_key, to_key=to_key, since=since, source=actor) for since in times]
    return IdentityLink.objects.bulk_create(rows)[0]


def _active(kind: IdentityLink.Kind, from_key: bytes, to_key: bytes) -> QuerySet[IdentityLink]:
    return IdentityLink.objects.filter(kind=kind, from_key=from_key, to_key=to_key, undone_at=None)


def merged_users(key: bytes) -> set[bytes]:
    """Keys of all users that are one person with this one, itself among them."""
    merged, fresh = {key}, {key}
    while fresh:
        merges = IdentityLink.objects.filter(_touches(fresh), kind=MERGE, undone_at=None)
        pairs = merges.values_list("from_key", "to_key")
        fresh = {bytes(either) for pair in pairs for either in pair} - merged
        merged |= fresh
    return merged


def _touches(keys: Iterable[bytes]) -> Q:
    return Q(from_key__in=list(keys)) | Q(to_key__in=list(keys))


def _known_key(kind: str, raw_id: str, *, field: str) -> bytes:
    key = subject_key(kind, raw_id)
    if not _is_known(key):
        raise UnknownSubject(field, raw_id)
    return key


def _is_known(key: bytes) -> bool:
    """Whether the vault or the ledger holds it; a visitor who was never seen without a user is in the ledger alone."""
    in_vault = SubjectIdentity.objects.filter(tenant_id=current_tenant_id(), subject_key=key)
    return in_vault.exists() or IdentityLink.objects.filter(_touches([key])).exists()


@dataclass(frozen=True)
class PersonKey:
    """A key of a person, whose events in (after, until] are theirs; None is open."""

    key: bytes
    kind: str  # user_id or anonymous_id
    after: datetime | None
    until: datetime | None


@dataclass(frozen=True)
class Identity:
    """What the ledger knows of a key. `links` are the newest of those that touch any of `keys`, undone ones too.

    `shared` devices have several people; without a user's id only what such a one did since the last login counts.
    """

    keys: list[PersonKey]
    links: list[IdentityLink]
    shared: bool


def person_of(key: bytes) -> list[PersonKey]:
    """All keys of the person behind a key, known or not; one query."""
    with connection.cursor() as cursor:
        cursor.execute(IDENTITY, person_values([key]))
        return [
            PersonKey(bytes(one), "anonymous_id" if is_visitor else "user_id", after, until)
            for one, after, until, is_visitor in cursor.fetchall()
        ]


def find_identity(*, kind: str, raw_id: str) -> Identity:
    """The person behind a user_id or anonymous_id. Raises UnknownSubject."""
    asked = _known_key(kind, raw_id, field=kind)
    keys = person_of(asked)
    if kind == "anonymous_id":
        keys = [replace(one, kind=kind) if one.key == asked else one for one in keys]
    links = IdentityLink.objects.filter(_touches({one.key for one in keys})).order_by("-created_at", "-id")
    shared = kind == "anonymous_id" and len(keys) == 1 and keys[0].after is not None
    return Identity(keys, list(links[:SHOWN_LINKS]), shared)
