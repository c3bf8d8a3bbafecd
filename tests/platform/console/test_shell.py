"""Getting in, and what the frame of every page promises."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from axes.utils import reset
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from config.proxies import parse_networks
from console import dashboard, middleware
from console.site import site
from tenancy.models import Role, Tenant
from tests.database import connected_as
from tests.platform.console.furnishing import PASSWORD, Furnished, logged_in, make_operator
from tests.queries import CapturedQueries


def test_an_operator_logs_in_and_out(tenant: Tenant) -> None:
    user = make_operator(tenant, Role.VIEWER)
    client = Client()
    response = client.post("/console/login/", {"username": user.username, "password": PASSWORD}, follow=True)
    assert tenant.name in response.content.decode()
    client.post("/console/logout/")
    assert client.get("/console/").status_code == 302


def test_without_login_every_page_leads_to_the_login(furnished: Furnished) -> None:
    for page, row in furnished.rows().items():
        for address in (f"/console/{page}/", f"/console/{page}/{row.pk}/change/"):
            response = Client().get(address)
            assert response.status_code == 302
            assert response["Location"].startswith("/console/login/")


def test_too_many_failed_logins_lock_the_account_out_at_that_address_alone(tenant: Tenant, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    settings.TRUSTED_PROXIES = parse_networks("10.0.0.1")
    user, colleague = make_operator(tenant, Role.VIEWER), make_operator(tenant, Role.ANALYST)
    # A client writes whatever it likes in front of what the proxy appends.
    client = Client(REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "198.51.100.1, 192.0.2.77"})
    try:
        for _ in range(3):
            response = client.post("/console/login/", {"username": user.username, "password": "wrong"})
        assert response.status_code == 429
        right = client.post("/console/login/", {"username": user.username, "password": PASSWORD})
        assert right.status_code == 429
        assert "Too many" in right.content.decode()
        beside = client.post("/console/login/", {"username": colleague.username, "password": PASSWORD})
        assert beside.status_code == 302
        elsewhere = Client(REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "192.0.2.78"})
        right = elsewhere.post("/console/login/", {"username": user.username, "password": PASSWORD})
        assert right.status_code == 302
    finally:
        reset(ip="192.0.2.77")


def test_one_password_tried_on_many_accounts_locks_its_address_and_nobody_elses(tenant: Tenant, settings: Any) -> None:
    settings.LOGIN_FAILURES_PER_ADDRESS = 5
    user = make_operator(tenant, Role.VIEWER)
    right = {"username": user.username, "password": PASSWORD}

    def tried_from(address: str, accounts: int) -> list[int]:
        wrong = [{"username": f"{number}@{tenant.slug}.example", "password": "spring"} for number in range(accounts)]
        return [Client(REMOTE_ADDR=address).post("/console/login/", each).status_code for each in wrong]

    try:
        assert tried_from("192.0.2.80", 4) == [200] * 4
        assert Client(REMOTE_ADDR="192.0.2.80").post("/console/login/", right).status_code == 302, "a colleague"
        assert tried_from("192.0.2.80", 2) == [429] * 2
        assert Client(REMOTE_ADDR="192.0.2.80").post("/console/login/", right).status_code == 429
        assert Client(REMOTE_ADDR="192.0.2.81").post("/console/login/", right).status_code == 302, "elsewhere"
        assert [tried_from(f"2001:db8::{host}", 1)[0] for host in range(1, 7)] == [200] * 4 + [429] * 2
        assert tried_from("2001:db8:0:1::1", 1) == [200]
    finally:
        for address in ("192.0.2.80", *(f"2001:db8::{host}" for host in range(1, 7)), "2001:db8:0:1::1"):
            reset(ip=address)


def test_an_inactive_user_is_not_let_in(tenant: Tenant) -> None:
    user = make_operator(tenant, Role.ADMIN)
    client = logged_in(user)
    with connected_as("owner"):
        User.objects.filter(pk=user.pk).update(is_active=False)
    assert client.get("/console/").status_code == 302


def test_the_dashboard_of_an_empty_tenant_tells_the_next_step(as_role: Callable[[Role], Client]) -> None:
    page = as_role(Role.VIEWER).get("/console/").content.decode()
    assert "No events yet" in page
    assert "curl http://" in page


def test_an_error_rolls_back_what_the_request_wrote(
    furnished: Furnished, as_role: Callable[[Role], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = next(page for model, page in site._registry.items() if model.__name__ == "Item")

    def fail_after_writing(request: Any, *values: Any) -> None:
        raise RuntimeError("after the write")

    monkeypatch.setattr(page, "changed", fail_after_writing)
    client = as_role(Role.OPERATOR)
    client.raise_request_exception = False
    chosen = {"action": "hide", "_selected_action": str(furnished.item.pk)}
    assert client.post("/console/catalog/item/", chosen).status_code == 500
    assert furnished.fresh(furnished.item).hidden is False


def test_a_search_that_takes_too_long_is_stopped_with_the_cure(
    as_role: Callable[[Role], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def search_for_long() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(dashboard, "newest_event", search_for_long)
    monkeypatch.setattr(middleware, "STATEMENT_TIMEOUT", "50ms")
    response = as_role(Role.VIEWER).get("/console/")
    assert response.status_code == 503
    assert "Narrow the time range" in response.content.decode()


def pages_of(furnished: Furnished) -> list[str]:
    addresses = ["/console/", "/console/behavior/cleaningreport/", "/console/behavior/import/"]
    for page, row in furnished.rows().items():
        addresses += [f"/console/{page}/", f"/console/{page}/{row.pk}/change/"]
    scenario = f"/console/decisions/scenario/{furnished.scenario.pk}"
    addresses += [f"{scenario}/kpi/", "/console/decisions/scenario/add/"]
    return [*addresses, "/console/tenancy/apikey/add/", "/console/serving/trainingrun/add/"]


def test_no_page_names_anything_outside_this_server(furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    client = as_role(Role.ADMIN)
    pages = [Client().get("/console/login/"), *(client.get(address, follow=True) for address in pages_of(furnished))]
    for page in pages:
        assert page.status_code == 200
        text = page.content.decode()
        references = re.findall(r"""(?:src|href|action|hx-get|hx-post)=["']([^"']+)|url\(([^)]+)\)""", text)
        outside = [one for pair in references for one in pair if re.match(r"(https?:)?//", one)]
        assert not outside, page.request["PATH_INFO"]


def test_lists_do_not_ask_more_of_the_database_for_more_rows(
    furnished: Furnished, as_role: Callable[[Role], Client]
) -> None:
    client = as_role(Role.ADMIN)
    lists = [address for address in pages_of(furnished) if address.count("/") == 4 and "tenant/" not in address]
    client.get("/console/")

    def asked(address: str) -> int:
        with CapturedQueries() as captured:
            assert client.get(address).status_code == 200
        return len(captured)

    def queries() -> dict[str, int]:
        # Of two requests in a row one finds what a process remembers for a second, such as settings.
        return {address: min(asked(address), asked(address)) for address in ["/console/", *lists]}

    before = queries()
    furnished.add_rows(8)
    after = queries()
    more = {address: (before[address], after[address]) for address in before if after[address] > before[address]}
    assert not more
    assert max(after.values()) < 30
