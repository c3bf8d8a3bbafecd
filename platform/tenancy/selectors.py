"""Reads that find a tenant, an operator's rights or a key."""

import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from tenancy.keys import claimed_tenant_id, hash_secret, split_key
from tenancy.models import Membership, Tenant
from tenancy.scope import scope_opened_by, set_local


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


@contextmanager
def caller_scope(raw_key: str) -> Iterator[Caller | None]:
    """The scope of the tenant that a raw key names, and whose key it is; None where it is nobody's.

    The key names its tenant, so the look-up itself happens inside that tenant's scope; a forged tenant number only
    finds no row. Scope, key and how long a later statement may take come with one, which every request begins with.
    """
    parts = split_key(raw_key)
    tenant_id = claimed_tenant_id(raw_key)
    if parts is None or tenant_id is None:
        yield None
        return
    prefix, secret = parts
    # Both have passed the form of a key, which has no quote in it.
    most = f"set_config('statement_timeout', '{settings.API_STATEMENT_SECONDS:d}s', true)"
    with scope_opened_by(f"SELECT tenancy_enter_by_key({tenant_id}, '{prefix}')::text, {most}", tenant_id) as found:
        yield _caller(json.loads(found or "{}"), secret, tenant_id)


def _caller(row: Mapping[str, Any], secret: str, tenant_id: int) -> Caller | None:
    expected = bytes.fromhex(row.get("secret_hash", "")) or bytes(32)
    if not hmac.compare_digest(expected, hash_secret(secret)) or not row:
        return None
    last_used_at = row["last_used_at"] and datetime.fromisoformat(row["last_used_at"])
    return Caller(tenant_id, UUID(row["id"]), frozenset(row["scopes"]), last_used_at, row["created_by"])


def memberships_of(user_id: int) -> list[Membership]:
    """The operator's accepted memberships with their tenants, in the console process."""
    with transaction.atomic():
        set_local("app.operator", str(user_id))
        accepted = Membership.objects.filter(user_id=user_id, accepted_at__isnull=False, tenant__is_active=True)
        return list(accepted.select_related("tenant"))
