"""API keys: what opens a door, and what has ceased to."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tenancy.keys import claimed_tenant_id, join_key, new_key, split_key
from tenancy.models import ApiKey, Tenant
from tenancy.scope import tenant_scope
from tenancy.selectors import Caller, caller_scope
from tenancy.services import create_api_key, revoke_api_key, rotate_api_key
from tests.database import connected_as

NewKey = tuple[ApiKey, str]


@pytest.fixture
def key(tenant: Tenant) -> NewKey:
    with tenant_scope(tenant.id):
        return create_api_key(name="shop", scopes=["items:read"])


def caller_of(raw_key: str) -> Caller | None:
    with caller_scope(raw_key) as caller:
        return caller


def test_a_key_names_its_tenant_and_its_scopes(tenant: Tenant, key: NewKey) -> None:
    caller = caller_of(key[1])

    assert caller is not None
    assert caller.tenant_id == tenant.id
    assert caller.scopes == {"items:read"}


def test_only_a_hash_of_the_secret_is_kept(tenant: Tenant, key: NewKey) -> None:
    with tenant_scope(tenant.id):
        stored = ApiKey.objects.values().get(id=key[0].id)

    assert key[1].rpartition("_")[2].encode() not in b"".join(bytes(str(value), "utf-8") for value in stored.values())


@given(st.integers(min_value=1, max_value=2**31 - 1))
def test_a_key_can_be_taken_apart_again(tenant_id: int) -> None:
    prefix, secret = new_key(tenant_id)

    assert split_key(join_key(prefix, secret)) == (prefix, secret)
    assert claimed_tenant_id(join_key(prefix, secret)) == tenant_id


@given(st.text(max_size=80))
def test_no_text_breaks_the_parser_of_keys(text: str) -> None:
    assert claimed_tenant_id(text) is None or split_key(text) is not None


def expire(key_id: object, tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        ApiKey.objects.filter(id=key_id).update(expires_at=timezone.now() - timedelta(seconds=1))


def revoke(key_id: object, tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        revoke_api_key(key_id=key_id)


def deactivate(key_id: object, tenant: Tenant) -> None:
    with connected_as("owner"), tenant_scope(tenant.id):
        Tenant.objects.filter(id=tenant.id).update(is_active=False)


@pytest.mark.parametrize("end", [expire, revoke, deactivate])
def test_a_key_that_has_ended_opens_nothing(tenant: Tenant, key: NewKey, end: Callable[..., None]) -> None:
    end(key[0].id, tenant)

    assert caller_of(key[1]) is None


def test_a_key_with_another_tenants_number_finds_nothing(other_tenant: Tenant, key: NewKey) -> None:
    _, rest = key[1].removeprefix("sk_").split("x", 1)

    assert caller_of(f"sk_{other_tenant.id:x}x{rest}") is None


def test_a_key_with_another_secret_opens_nothing(key: NewKey) -> None:
    assert caller_of(key[1][:-1] + ("A" if key[1][-1] != "A" else "B")) is None


def test_rotation_leaves_time_to_change_over(tenant: Tenant, key: NewKey) -> None:
    with tenant_scope(tenant.id):
        new, raw = rotate_api_key(key_id=key[0].id, overlap=timedelta(days=7))
        old = ApiKey.objects.get(id=key[0].id)

    assert caller_of(raw) is not None
    assert caller_of(key[1]) is not None
    assert old.replaced_by == new.id
    assert old.expires_at is not None
    assert timedelta(days=6) < old.expires_at - timezone.now() <= timedelta(days=7)

    expire(old.id, tenant)
    assert caller_of(key[1]) is None
    assert caller_of(raw) is not None


def test_a_revoked_key_is_not_rotated(tenant: Tenant, key: NewKey) -> None:
    revoke(key[0].id, tenant)

    with tenant_scope(tenant.id), pytest.raises(ValidationError, match="revoked"):
        rotate_api_key(key_id=key[0].id)


def test_unknown_scopes_are_refused_by_name(tenant: Tenant) -> None:
    with tenant_scope(tenant.id), pytest.raises(ValidationError, match="items:fly"):
        create_api_key(name="shop", scopes=["items:read", "items:fly"])
