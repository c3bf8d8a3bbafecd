"""`manage.py add_member`: people get roles, and those who are known keep their passwords."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.services import invite_member
from tests.database import connected_as


def test_who_joins_a_second_business_keeps_the_password(
    tenant: Tenant, other_tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    email = f"Ann@{tenant.slug}.example"
    with connected_as("owner"):
        call_command("add_member", email, tenant=tenant.slug, role="admin")
        shown = re.search("password: (.+)", capsys.readouterr().out)
        call_command("add_member", email, tenant=other_tenant.slug, role="viewer")

        ann = get_user_model().objects.get(username=email.lower())

    assert "password" not in capsys.readouterr().out
    assert shown
    assert ann.check_password(shown[1])


def test_who_was_only_invited_gets_a_password(tenant: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    email = f"bob@{tenant.slug}.example"
    with connected_as("owner"):
        with tenant_scope(tenant.id):
            invite_member(email=email, role=Role.VIEWER)
        call_command("add_member", email, tenant=tenant.slug, role="admin")
        shown = re.search("password: (.+)", capsys.readouterr().out)

        bob = get_user_model().objects.get(username=email)

    assert shown
    assert bob.check_password(shown[1])
