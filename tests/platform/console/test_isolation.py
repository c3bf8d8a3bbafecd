"""An operator of one tenant gets nothing of another: by address, id, session value or search."""

from collections.abc import Callable

import pytest
from django.db import ProgrammingError, connection, transaction
from django.test import Client

from behavior.models import Event
from console.middleware import SESSION_KEY
from tenancy.models import Role, Tenant
from tenancy.scope import set_local, tenant_scope
from tenancy.services import invite_member
from tests.database import connected_as
from tests.platform.console.furnishing import Furnished, logged_in, make_operator


@pytest.fixture
def foreign(other_tenant: Tenant) -> Furnished:
    return Furnished(other_tenant)


def test_rows_of_another_tenant_cannot_be_opened_by_address(
    foreign: Furnished, as_role: Callable[[Role], Client]
) -> None:
    client = as_role(Role.ADMIN)
    for page, row in foreign.rows().items():
        response = client.get(f"/console/{page}/{row.pk}/change/")
        assert response.status_code in (302, 404), page
        assert foreign.tenant.name not in response.content.decode()


def test_actions_on_rows_of_another_tenant_change_nothing(
    foreign: Furnished, as_role: Callable[[Role], Client]
) -> None:
    client = as_role(Role.ADMIN)
    dialogs = {
        f"behavior/identitylink/{foreign.link.pk}/undo_link": foreign.link,
        f"tenancy/apikey/{foreign.key.pk}/revoke": foreign.key,
        f"tenancy/apikey/{foreign.key.pk}/rotate": foreign.key,
        f"recommendation/rule/{foreign.rule.pk}/publish": foreign.rule,
        f"recommendation/rule/{foreign.rule.pk}/remove": foreign.rule,
        f"risk/riskrule/{foreign.risk_rule.pk}/publish": foreign.risk_rule,
        f"risk/entitylist/{foreign.entity_list.pk}/remove": foreign.entity_list,
        f"risk/case/{foreign.case.pk}/confirm": foreign.case,
        f"webhooks/webhook/{foreign.webhook.pk}/pause": foreign.webhook,
        f"webhooks/webhookdelivery/{foreign.delivery.pk}/replay": foreign.delivery,
        f"service/source/{foreign.source.pk}/retire": foreign.source,
        f"catalog/savedfilter/{foreign.saved_filter.pk}/remove": foreign.saved_filter,
        f"ads/creative/{foreign.creative.pk}/approve": foreign.creative,
        f"ads/flight/{foreign.flight.pk}/archive": foreign.flight,
        f"serving/trainingrun/{foreign.running.pk}/cancel": foreign.running,
        f"serving/modelversion/{foreign.candidate.pk}/promote_version": foreign.candidate,
        f"serving/modelversion/{foreign.live.pk}/roll_back": foreign.live,
    }
    for address, row in dialogs.items():
        before = vars(foreign.fresh(row))
        assert client.post(f"/console/{address}/", {"_form_submitted": "on"}).status_code == 404
        after = vars(foreign.fresh(row))
        assert {**after, "_state": None} == {**before, "_state": None}, address
    chosen = {"_selected_action": str(foreign.quarantined.pk)}
    client.post("/console/behavior/quarantine/", {"action": "discard_rows", **chosen})
    assert foreign.fresh(foreign.quarantined).status == "open"


def test_lists_and_searches_show_nothing_of_another_tenant(
    foreign: Furnished, as_role: Callable[[Role], Client]
) -> None:
    client = as_role(Role.ADMIN)
    searches = [
        "behavior/event/?subject=u1",
        "behavior/identitylink/?subject=u1",
        f"behavior/event/?decision={foreign.decision.decision_id}",
        "behavior/event/?item=sku-1",
        f"decisions/decision/?decision={foreign.decision.decision_id}",
        "catalog/item/?q=Lamp",
    ]
    for address in [*(f"{page}/" for page in foreign.rows() if page != "tenancy/tenant"), *searches]:
        page = client.get(f"/console/{address}").content.decode()
        for page_of, row in foreign.rows().items():
            assert f"/console/{page_of}/{row.pk}/" not in page, (address, page_of)


def test_a_forged_tenant_in_the_session_is_ignored(tenant: Tenant, foreign: Furnished) -> None:
    client = logged_in(make_operator(tenant, Role.ADMIN))
    session = client.session
    session[SESSION_KEY] = foreign.tenant.id
    session.save()
    page = client.get("/console/").content.decode()
    assert tenant.name in page
    assert foreign.tenant.name not in page


def test_raw_sql_of_the_console_role_cannot_read_or_join_another_tenant(tenant: Tenant, foreign: Furnished) -> None:
    operator = make_operator(tenant, Role.ADMIN)
    with connected_as("console"), transaction.atomic(), connection.cursor() as cursor:
        set_local("app.operator", str(operator.pk))
        set_local("app.tenant", str(foreign.tenant.id))
        cursor.execute("SELECT count(*) FROM tenancy_membership WHERE tenant_id = %s", [foreign.tenant.id])
        assert cursor.fetchone() == (0,)
        with pytest.raises(ProgrammingError, match="row-level security"):
            cursor.execute(
                "INSERT INTO tenancy_membership (id, tenant_id, user_id, role, created_at) "
                "VALUES (gen_random_uuid(), %s, %s, 'admin', now())",
                [foreign.tenant.id, operator.pk],
            )


def test_raw_sql_of_a_viewer_cannot_make_the_viewer_an_admin(tenant: Tenant) -> None:
    viewer = make_operator(tenant, Role.VIEWER)
    with connected_as("console"), transaction.atomic(), connection.cursor() as cursor:
        set_local("app.operator", str(viewer.pk))
        set_local("app.tenant", str(tenant.id))
        cursor.execute("UPDATE tenancy_membership SET role = 'admin' WHERE user_id = %s", [viewer.pk])
        assert cursor.rowcount == 0


def test_raw_sql_of_an_admin_cannot_accept_for_somebody_else(tenant: Tenant) -> None:
    admin = make_operator(tenant, Role.ADMIN)
    with connected_as("owner"), tenant_scope(tenant.id):
        invited = invite_member(email=f"invited@{tenant.slug}.example", role=Role.ADMIN)
    statements = {
        "SELECT tenancy_accept_membership(%(membership)s)": None,
        "UPDATE tenancy_membership SET accepted_at = now() WHERE id = %(membership)s": "permission denied",
        "INSERT INTO tenancy_membership (id, tenant_id, user_id, role, created_at, accepted_at) "
        "VALUES (gen_random_uuid(), %(tenant)s, %(user)s, 'admin', now(), now())": "row-level security",
    }
    values = {"membership": invited.id, "tenant": tenant.id, "user": invited.user_id}
    for statement, refusal in statements.items():
        with connected_as("console"), transaction.atomic(), connection.cursor() as cursor:
            set_local("app.operator", str(admin.pk))
            set_local("app.tenant", str(tenant.id))
            if refusal is None:
                cursor.execute(statement, values)
                assert cursor.fetchone() == (None,)
                continue
            with pytest.raises(ProgrammingError, match=refusal), transaction.atomic():
                cursor.execute(statement, values)


def test_raw_sql_of_an_invited_person_reads_nothing(tenant: Tenant, foreign: Furnished) -> None:
    person = make_operator(tenant, Role.ADMIN)
    with connected_as("owner"), tenant_scope(foreign.tenant.id):
        invite_member(email=person.username, role=Role.ADMIN)
    with connected_as("console"), transaction.atomic(), connection.cursor() as cursor:
        set_local("app.operator", str(person.pk))
        set_local("app.tenant", str(foreign.tenant.id))
        cursor.execute("SELECT count(*) FROM behavior_event")
        assert cursor.fetchone() == (0,)


def test_switching_is_possible_to_ones_own_tenants_alone(tenant: Tenant, foreign: Furnished) -> None:
    client = logged_in(make_operator(tenant, Role.ADMIN))
    page = client.post("/tenant/", {"tenant": foreign.tenant.id}, follow=True).content.decode()
    assert "You are not a member of this business" in page
    assert tenant.name in page


def test_an_operator_of_two_tenants_sees_one_at_a_time_with_its_role(tenant: Tenant, foreign: Furnished) -> None:
    make_operator(tenant, Role.ADMIN, "both@example.com")
    client = logged_in(make_operator(foreign.tenant, Role.VIEWER, "both@example.com"))
    # What an operator joined first is open after a login.
    assert client.get("/console/tenancy/apikey/").status_code == 200

    client.post("/tenant/", {"tenant": foreign.tenant.id})
    client.post("/tenant/", {"tenant": tenant.id})
    assert client.get("/console/tenancy/apikey/").status_code == 200
    assert client.get(f"/console/behavior/event/{foreign.event.pk}/change/").status_code == 302
    members = client.get("/console/tenancy/membership/").content.decode()
    assert foreign.member.username not in members

    client.post("/tenant/", {"tenant": foreign.tenant.id})
    assert client.get(f"/console/behavior/event/{foreign.event.pk}/change/").status_code == 200
    assert client.get("/console/tenancy/apikey/").status_code == 403


def test_the_database_itself_asks_for_the_membership(tenant: Tenant, foreign: Furnished) -> None:
    """Raw SQL in the console's role, as if the console had been deceived."""
    user = make_operator(tenant, Role.ADMIN)
    with transaction.atomic(), connection.cursor() as cursor:
        set_local("app.operator", str(user.pk))
        with tenant_scope(foreign.tenant.id):
            for table in ("behavior_event", "behavior_quarantine", "catalog_item", "decisions_decision"):
                cursor.execute(f"SELECT count(*) FROM {table}")
                assert cursor.fetchone() == (0,), table
            assert not Event.objects.exists()


def test_an_operator_who_lost_the_membership_is_told_so(tenant: Tenant) -> None:
    user = make_operator(tenant, Role.ADMIN)
    client = logged_in(user)
    assert client.get("/console/").status_code == 200
    with connected_as("owner"), tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute("DELETE FROM tenancy_membership WHERE user_id = %s", [user.pk])
    response = client.get("/console/")
    assert response.status_code == 403
    assert "not a member of any business" in response.content.decode()
    client.post("/console/logout/")
    assert "_auth_user_id" not in client.session
