"""Reads that find a tenant, an operator's rights or a key."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from tenancy.keys import hash_secret, split_key
from tenancy.models import Membership, Tenant
from tenancy.scope import current_tenant_id, set_local
from tenancy.statements import prepared_cursor

# Written out, because every request asks it: building the same statement from models takes longer than answering it.
USABLE_KEY = """
    SELECT key.secret_hash, key.id, key.scopes, key.last_used_at, key.created_by
    FROM tenancy_apikey AS key JOIN tenancy_tenant AS tenant ON tenant.id = key.tenant_id
    WHERE key.tenant_id = %s AND key.prefix = %s AND tenant.is_active
        AND key.revoked_at IS NULL AND (key.expires_at IS NULL OR key.expires_at > clock_timestamp())"""


@dataclass(frozen=True)
class Caller:
    """An authenticated client system; `created_by` is the member who made its key, empty where a command did."""

    tenant_id: int
    key_id: UUID
    scopes: frozenset[str]
    last_used_at: datetime | None
    created_by: str = ""
    is_authenticated: bool = True

    @property
    def pk(self) -> str:
        return str(self.key_id)


def active_tenant_ids() -> list[int]:
    """Ids (nothing else) of all active tenants, for tasks that visit each in its own scope."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id FROM tenancy_active_tenants()")
        return [row[0] for row in cursor.fetchall()]


def tenant_id_of(slug: str) -> int:
    """Id of a tenant by slug. Raises Tenant.DoesNotExist with the cure."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id FROM tenancy_active_tenants() WHERE slug = %s", [slug])
        row = cursor.fetchone()
    if row is None:
        raise Tenant.DoesNotExist(f"no active tenant '{slug}'; create it with `manage.py create_tenant {slug}`")
    return int(row[0])


def find_caller(raw_key: str) -> Caller | None:
    """Who a raw key belongs to, or None. Must be called in the scope of `claimed_tenant_id(raw_key)`.

    The key names its tenant, so the look-up itself happens inside that tenant's scope; a forged tenant number only
    finds no row.
    """
    parts = split_key(raw_key)
    if parts is None:
        return None
    prefix, secret = parts
    with prepared_cursor() as cursor:
        cursor.execute(USABLE_KEY, [current_tenant_id(), prefix])
        row = cursor.fetchone()
    expected = bytes(row[0]) if row else bytes(32)
    if not hmac.compare_digest(expected, hash_secret(secret)) or row is None:
        return None
    _, key_id, scopes, last_used_at, created_by = row
    return Caller(current_tenant_id(), key_id, frozenset(scopes), last_used_at, created_by)


def memberships_of(user_id: int) -> list[Membership]:
    """The operator's memberships with their tenants, in the console process."""
    with transaction.atomic():
        set_local("app.operator", str(user_id))
        return list(Membership.objects.filter(user_id=user_id, tenant__is_active=True).select_related("tenant"))
