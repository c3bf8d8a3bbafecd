"""A process remembers what it read of a tenant for a moment, and nobody else's."""

import threading

import pytest

from tenancy.kept import Kept
from tenancy.models import Tenant
from tenancy.scope import NoTenantScope, tenant_scope


def test_a_value_is_read_once_and_again_when_it_is_old(scope: None) -> None:
    reads = iter(range(10))
    kept: Kept[int] = Kept(60.0)
    assert [kept.get("a", lambda: next(reads)) for _ in range(3)] == [0, 0, 0]
    kept.seconds = 0.0
    assert [kept.get("a", lambda: next(reads)) for _ in range(2)] == [1, 2]


def test_each_tenant_has_its_own(tenant: Tenant, other_tenant: Tenant) -> None:
    kept: Kept[str] = Kept(60.0)
    for each in (tenant, other_tenant):
        with tenant_scope(each.id):
            assert kept.get("name", lambda own=each.slug: own) == each.slug
    with pytest.raises(NoTenantScope):
        kept.get("name", lambda: "nobody's")


def test_a_forgotten_value_and_a_failed_read_are_read_again(scope: None) -> None:
    kept: Kept[int] = Kept(60.0)
    with pytest.raises(LookupError):
        kept.get("a", lambda: {}["missing"])
    assert kept.get("a", lambda: 1) == 1
    kept.forget("a")
    assert kept.get("a", lambda: 2) == 2


def test_no_more_are_kept_than_allowed(scope: None) -> None:
    kept: Kept[int] = Kept(60.0, most=2)
    for key in range(3):
        kept.get(key, lambda own=key: own)
    assert kept.get(2, lambda: -1) == 2
    assert kept.get(0, lambda: -1) == -1


def test_others_go_on_with_the_former_value_while_one_reads(tenant: Tenant) -> None:
    kept: Kept[str] = Kept(0.2)
    reading, may_end, found = threading.Event(), threading.Event(), []

    def slow() -> str:
        reading.set()
        may_end.wait(10)
        return "new"

    def refresh() -> None:
        with tenant_scope(tenant.id):
            found.append(kept.get("a", slow))

    with tenant_scope(tenant.id):
        kept.get("a", lambda: "old")
        threading.Event().wait(0.25)
        thread = threading.Thread(target=refresh)
        thread.start()
        assert reading.wait(10)
        assert kept.get("a", lambda: "read twice") == "old"
        may_end.set()
        thread.join()
        assert kept.get("a", lambda: "read twice") == "new"
    assert found == ["new"]
