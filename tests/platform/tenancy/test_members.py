"""`manage.py add_member`: people get roles, and those who are known keep their passwords."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from tenancy.models import Tenant
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
