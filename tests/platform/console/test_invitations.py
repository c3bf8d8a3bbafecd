"""Invitations, mostly as somebody who wants into another business would use them: accounts are shared by e-mail, and
nobody proves an e-mail, so what an admin of one business can do must open nothing of another."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.test import Client

from console import invitations
from tenancy.models import Membership, Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.services import add_member
from tests.database import connected_as
from tests.platform.console.furnishing import PASSWORD, logged_in, make_operator

MEMBERS = "/console/tenancy/membership/"


def admin_of(tenant: Tenant) -> Client:
    return logged_in(make_operator(tenant, Role.ADMIN, f"boss@{tenant.slug}.example"))


def invite(tenant: Tenant, email: str, role: str = "viewer") -> str:
    """The link that an admin of the tenant is shown."""
    response = admin_of(tenant).post(f"{MEMBERS}add/", {"email": email, "role": role})
    assert "no-store" in response["Cache-Control"]
    return re.search(r"http://testserver(/invitation/\?token=[^\"]+)", response.content.decode())[1]


def set_password(link: str, password: str = PASSWORD) -> Any:
    return Client().post(link, {"new_password1": password, "new_password2": password})


def log_in(email: str, password: str = PASSWORD, *, address: str = "/console/login/") -> Client:
    client = Client()
    client.post(address, {"username": email, "password": password})
    return client


def memberships(tenant: Tenant, email: str) -> list[Membership]:
    with connected_as("owner"), tenant_scope(tenant.id):
        return list(Membership.objects.filter(user__username=email))


def is_in(client: Client, tenant: Tenant) -> bool:
    """Whether the browser gets into the tenant, whichever one the session names."""
    client.post("/tenant/", {"tenant": tenant.id})
    page = client.get("/console/")
    return page.status_code == 200 and tenant.name in page.content.decode()


def test_somebody_new_joins_with_a_first_password_by_a_link_that_works_once(tenant: Tenant) -> None:
    email = f"grace@{tenant.slug}.example"
    link = invite(tenant, email.upper(), "analyst")
    page = Client().get(link).content.decode()
    assert tenant.name in page
    assert email in page
    assert set_password(link)["Location"] == "/console/login/"
    assert is_in(log_in(email), tenant)
    assert "no longer works" in Client().get(link).content.decode()
    assert "no longer works" in set_password(link, "another long password").content.decode()
    assert is_in(log_in(email), tenant)


def test_a_weak_first_password_is_refused_and_accepts_nothing(tenant: Tenant) -> None:
    email = f"grace@{tenant.slug}.example"
    link = invite(tenant, email)
    assert "too short" in set_password(link, "short").content.decode()
    assert memberships(tenant, email)[0].accepted_at is None


def test_a_person_with_an_account_joins_after_logging_in(tenant: Tenant, other_tenant: Tenant) -> None:
    known = make_operator(other_tenant, Role.VIEWER)
    link = invite(tenant, known.username)
    to_login = Client().get(link)
    assert to_login.status_code == 302
    client = log_in(known.username, address=to_login["Location"])
    assert not is_in(client, tenant), "logging in alone accepts nothing"
    assert "Join" in client.get(link).content.decode()
    assert tenant.name in client.post(link, follow=True).content.decode()
    assert is_in(client, tenant)
    assert is_in(client, other_tenant)


def test_until_it_is_accepted_a_membership_shows_as_invited_and_tells_nothing_of_the_account(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    known = make_operator(other_tenant, Role.VIEWER)
    log_in(known.username)
    invite(tenant, known.username)
    invite(tenant, f"new@{tenant.slug}.example")
    page = admin_of(tenant).get(f"{MEMBERS}?q={known.username}").content.decode()
    assert "Invited" in page
    year = User.objects.get(pk=known.pk).last_login.strftime("%Y")
    row = page[page.index(known.username, page.index("<tbody")) :]
    assert row.count(year) == 1, "the day of the invitation, and no last login"


def test_the_first_password_of_an_account_that_another_business_relies_on_is_not_for_an_inviter_to_set(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    """B has a member whose account has no password yet; A's admin invites the same e-mail and follows the own link."""
    bob = f"bob@{other_tenant.slug}.example"
    with connected_as("owner"), tenant_scope(other_tenant.id):
        add_member(email=bob, role=Role.ADMIN)
    link = invite(tenant, bob)
    assert "no password yet" in Client().get(link).content.decode()
    set_password(link)
    with connected_as("owner"):
        assert not User.objects.get(username=bob).has_usable_password()
    assert memberships(tenant, bob)[0].accepted_at is None


def test_who_takes_an_account_that_two_businesses_have_invited_gets_into_the_own_one_alone(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    bob = f"bob@{other_tenant.slug}.example"
    theirs = invite(other_tenant, bob, "admin")
    set_password(invite(tenant, bob))
    thief = log_in(bob)
    assert is_in(thief, tenant)
    assert not is_in(thief, other_tenant)
    set_password(theirs, "what bob would choose")
    assert is_in(log_in(bob), tenant), "a link of B resets no password that is in use in A either"


def test_an_account_that_was_taken_ahead_waits_outside_the_business_that_invites_it_later(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    """A's admin adds the victim's e-mail first and sets the password; later B invites the victim."""
    victim = f"victim@{other_tenant.slug}.example"
    set_password(invite(tenant, victim))
    invite(other_tenant, victim, "admin")
    assert not is_in(log_in(victim), other_tenant)
    assert memberships(other_tenant, victim)[0].accepted_at is None


def test_a_link_is_for_nobody_else_who_is_logged_in(tenant: Tenant, other_tenant: Tenant) -> None:
    known = make_operator(other_tenant, Role.VIEWER)
    link = invite(tenant, known.username, "admin")
    passer_by = logged_in(make_operator(other_tenant, Role.ADMIN))
    assert "Log out" in passer_by.post(link).content.decode()
    assert not is_in(passer_by, tenant)
    assert memberships(tenant, known.username)[0].accepted_at is None


def test_an_invitation_that_was_taken_back_accepts_nothing_even_when_made_again(tenant: Tenant) -> None:
    email = f"grace@{tenant.slug}.example"
    old = invite(tenant, email)
    again = admin_of(tenant).post(f"{MEMBERS}add/", {"email": email, "role": "admin"}).content.decode()
    assert "is invited already" in again
    admin_of(tenant).post(f"{MEMBERS}{memberships(tenant, email)[0].id}/delete/", {"post": "yes"})
    invite(tenant, email, "admin")
    assert "no longer works" in set_password(old).content.decode()
    assert memberships(tenant, email)[0].accepted_at is None


def test_an_old_or_forged_link_accepts_nothing(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    email = f"grace@{tenant.slug}.example"
    link = invite(tenant, email)
    membership = memberships(tenant, email)[0]
    offer = [tenant.id, str(membership.id), membership.user_id]
    forged = [signing.dumps(offer, salt="another purpose"), signing.dumps(offer, key="guessed", salt=invitations.SALT)]
    for token in [*forged, "", "x:y:z"]:
        assert "no longer works" in set_password(f"/invitation/?token={token}").content.decode()
    monkeypatch.setattr(invitations, "LINK_LIFE", 0)
    assert "no longer works" in set_password(link).content.decode()
    assert memberships(tenant, email)[0].accepted_at is None
