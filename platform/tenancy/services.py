"""Writes: tenants, members, API keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from tenancy.api_scopes import API_SCOPES
from tenancy.keys import hash_secret, join_key, new_key
from tenancy.models import ApiKey, Membership, Role, Tenant
from tenancy.scope import current_tenant_id, tenant_scope
from tenancy.secrets import create_subject_secret

# "Last used" is for people; writing it on each request would make every read a write.
LAST_USED_RESOLUTION = timedelta(minutes=1)


@transaction.atomic
def create_tenant(*, slug: str, name: str) -> Tenant:
    """Make a tenant with its own pseudonymisation key. Raises ValidationError for a taken or malformed slug."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('tenancy_tenant', 'id'))")
        tenant_id = cursor.fetchone()[0]
        cursor.execute("SELECT 1 FROM tenancy_active_tenants() WHERE slug = %s", [slug])
        if cursor.fetchone():
            raise ValidationError({"slug": f"'{slug}' is taken; choose another slug"})
    with tenant_scope(tenant_id):
        tenant = Tenant(id=tenant_id, slug=slug, name=name)
        tenant.clean_fields()
        tenant.save(force_insert=True)
        create_subject_secret()
    return tenant


def add_member(*, email: str, role: Role, password: str | None = None) -> Membership:
    """Give a person a role in the tenant in scope at once, as whoever runs this machine may; an unknown e-mail becomes
    a new console user."""
    user = _console_user(email)
    if password is not None:
        user.set_password(password)
        user.save(update_fields=["password"])
    role_from_now = {"role": role, "accepted_at": timezone.now()}
    membership, _ = Membership.objects.update_or_create(user=user, defaults=role_from_now)
    return membership


def invite_member(*, email: str, role: Role) -> Membership:
    """Offer a person a role in the tenant in scope. Nobody has proved whose e-mail it is, and the account may be in use
    elsewhere, so it gives no rights before that person accepts it."""
    return Membership.objects.create(user=_console_user(email), role=role)


def accept_membership(*, membership_id: UUID) -> bool:
    """The operator of the transaction takes up an offer of the tenant in scope; False where none waits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenancy_accept_membership(%s)", [membership_id])
        return bool(cursor.fetchone()[0])


def _console_user(email: str) -> User:
    """The account of an e-mail; a new one has no password."""
    defaults = {"email": email.lower(), "is_staff": True, "password": make_password(None)}
    return User.objects.get_or_create(username=email.lower(), defaults=defaults)[0]


def create_api_key(
    *, name: str, scopes: Sequence[str], expires_at: datetime | None = None, created_by: str = ""
) -> tuple[ApiKey, str]:
    """The key's row and the raw key, shown once and never stored. `created_by` is the member who is shown it.

    Raises ValidationError for unknown scopes.
    """
    if unknown := sorted(set(scopes) - API_SCOPES.keys()):
        raise ValidationError({"scopes": f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(API_SCOPES))}"})
    prefix, secret = new_key(current_tenant_id())
    key = ApiKey.objects.create(
        name=name,
        prefix=prefix,
        secret_hash=hash_secret(secret),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        created_by=created_by,
    )
    return key, join_key(prefix, secret)


def rotate_api_key(*, key_id: UUID, overlap: timedelta = timedelta(days=7), created_by: str = "") -> tuple[ApiKey, str]:
    """A new key with the same scopes; the old one works for `overlap` longer, so that clients can change over."""
    old = ApiKey.objects.select_for_update().get(id=key_id)
    if old.revoked_at:
        raise ValidationError({"key": "is revoked; create a new key instead"})
    key, raw = create_api_key(name=old.name, scopes=old.scopes, created_by=created_by or old.created_by)
    ends = timezone.now() + overlap
    old.expires_at = min(old.expires_at or ends, ends)
    old.replaced_by = key.id
    old.save(update_fields=["expires_at", "replaced_by"])
    return key, raw


def revoke_api_key(*, key_id: UUID) -> None:
    ApiKey.objects.filter(id=key_id, revoked_at=None).update(revoked_at=timezone.now())


def touch_api_key(*, key_id: UUID, last_used_at: datetime | None) -> None:
    now = timezone.now()
    if last_used_at is None or now - last_used_at > LAST_USED_RESOLUTION:
        ApiKey.objects.filter(id=key_id).update(last_used_at=now)
