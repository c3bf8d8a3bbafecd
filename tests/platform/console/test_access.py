"""API keys and members."""

import re
from collections.abc import Callable
from datetime import timedelta

from django.test import Client

from tenancy.models import ApiKey, Membership, Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.selectors import caller_scope
from tests.database import connected_as
from tests.platform.console.furnishing import Furnished, logged_in, make_operator

RAW_KEY = re.compile(r"sk_[0-9a-f]+x[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


def works(tenant: Tenant, raw_key: str) -> bool:
    with connected_as("app"), caller_scope(raw_key) as caller:
        return caller is not None and caller.tenant_id == tenant.id


def test_a_new_key_is_shown_once_and_works(tenant: Tenant, as_role: Callable[[Role], Client]) -> None:
    client = as_role(Role.ADMIN)
    response = client.post("/console/tenancy/apikey/add/", {"name": "shop", "scopes": ["events:write", "items:read"]})
    raw_key = RAW_KEY.search(response.content.decode())[0]
    assert "no-store" in response["Cache-Control"]
    assert works(tenant, raw_key)
    with connected_as("app"), tenant_scope(tenant.id):
        key = ApiKey.objects.get()
    assert key.scopes == ["events:write", "items:read"]
    for address in ("/console/tenancy/apikey/", f"/console/tenancy/apikey/{key.id}/change/"):
        page = client.get(address).content.decode()
        assert "shop" in page
        assert not RAW_KEY.search(page)


def test_a_key_that_would_be_expired_is_not_made(furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    expired = {"expires_at_0": "2020-01-01", "expires_at_1": "00:00:00"}
    values = {"name": "late", "scopes": ["events:write"], **expired}
    page = as_role(Role.ADMIN).post("/console/tenancy/apikey/add/", values).content.decode()
    assert "choose a later one" in page
    assert furnished.count(ApiKey) == 1


def test_rotation_shows_the_new_key_and_keeps_the_old_one_for_the_overlap(
    furnished: Furnished, as_role: Callable[[Role], Client]
) -> None:
    client = as_role(Role.ADMIN)
    address = f"/console/tenancy/apikey/{furnished.key.pk}/rotate/"
    assert "Rotate this key" in client.get(address).content.decode()
    response = client.post(address, {"_form_submitted": "on", "days": "2"})
    new_key = RAW_KEY.search(response.content.decode())[0]
    assert works(furnished.tenant, new_key)
    assert works(furnished.tenant, furnished.raw_key)
    old = furnished.fresh(furnished.key)
    assert timedelta(days=1) < old.expires_at - old.created_at < timedelta(days=3)


def test_a_revoked_key_is_refused_at_once(furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    client = as_role(Role.ADMIN)
    client.post(f"/console/tenancy/apikey/{furnished.key.pk}/revoke/", {"_form_submitted": "on"})
    assert not works(furnished.tenant, furnished.raw_key)


def test_opening_a_dialog_changes_nothing(furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    as_role(Role.ADMIN).get(f"/console/tenancy/apikey/{furnished.key.pk}/revoke/?_form_submitted=on")
    assert furnished.fresh(furnished.key).revoked_at is None


def test_the_last_admin_can_neither_step_down_nor_leave(tenant: Tenant) -> None:
    admin = make_operator(tenant, Role.ADMIN)
    client = logged_in(admin)
    with connected_as("owner"), tenant_scope(tenant.id):
        membership = Membership.objects.get(user=admin)
    address = f"/console/tenancy/membership/{membership.id}"
    assert "last admin" in client.post(f"{address}/change/", {"role": "viewer"}).content.decode()
    assert "last admin" in client.post(f"{address}/delete/", {"post": "yes"}, follow=True).content.decode()
    client.post("/console/tenancy/membership/add/", {"email": f"next@{tenant.slug}.example", "role": "admin"})
    assert "last admin" in client.post(f"{address}/change/", {"role": "viewer"}).content.decode(), "one is invited only"
    again = client.post("/console/tenancy/membership/add/", {"email": admin.username, "role": "viewer"})
    assert "is a member already" in again.content.decode()
    with connected_as("owner"), tenant_scope(tenant.id):
        assert Membership.objects.get(user=admin).role == Role.ADMIN
