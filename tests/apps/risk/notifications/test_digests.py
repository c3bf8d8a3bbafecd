"""The daily e-mail: at its hour, once, to whoever asked for it and is still a member."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.header import decode_header, make_header
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from apps.risk.cases import services as desk
from apps.risk.cases.models import Case
from apps.risk.notifications.digests import digest_text
from apps.risk.notifications.models import Digest
from apps.risk.notifications.services import subscribe, unsubscribe
from apps.risk.tasks import send_digests_of_tenant
from tenancy.models import Membership, Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import public_subject_id, subject_key
from tenancy.tasks import TENANT_HEADER
from tests.apps.risk.notifications.test_webhooks import raise_some
from tests.database import connected_as
from tests.platform.console.furnishing import make_operator
from tests.platform.webhooks.receivers import MailSink, mail_sink


@pytest.fixture
def sink(settings: Any) -> Iterator[MailSink]:
    with mail_sink() as sink:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", sink.port, False
        yield sink


def subscriber(tenant: Tenant, email: str, hour: int = 0, sent_on: Any = None) -> Digest:
    """A member whose digest is due since `hour`, as one is that subscribed before today."""
    user = make_operator(tenant, Role.OPERATOR, email)
    with connected_as("owner"), tenant_scope(tenant.id):
        membership = Membership.objects.get(user=user)
    with tenant_scope(tenant.id):
        digest = subscribe(membership=membership, email=email, hour=hour)
        digest.sent_on = sent_on
        digest.save()
    return digest


def send(tenant: Tenant) -> None:
    """What the worker does."""
    send_digests_of_tenant.apply(headers={TENANT_HEADER: tenant.id}, throw=True)


def letter(raw: str) -> tuple[str, str, str]:
    """To, subject and text."""
    message = message_from_string(raw)
    text = message.get_payload(decode=True).decode()  # type: ignore[union-attr]
    return message["To"], str(make_header(decode_header(message["Subject"]))), text


def test_a_digest_says_what_waits_and_where_to_begin(tenant: Tenant, sink: MailSink) -> None:
    email = f"desk@{tenant.slug}.example"
    subscriber(tenant, email)
    with tenant_scope(tenant.id):
        late, own = raise_some("t-1", user="anna"), raise_some("t-2", "t-3", user="ben")
        Case.objects.filter(id=late.id).update(due_at=timezone.now() - timedelta(hours=2, minutes=5))
        desk.assign(case_id=own.id, assignee=email, actor=email)
        desk.move(case_id=raise_some("t-4", user="carl").id, to="confirmed", actor=email)
        short = public_subject_id(subject_key("user_id", "anna"))
    send(tenant)

    ((to, subject, text),) = map(letter, sink.letters)
    assert (to, subject) == (email, f"{tenant.name}: 2 risk cases under way, 1 overdue")
    for line in ("Under way: 2", "Overdue: 1", "Waiting for a release: 0", "Yours: 1, of these overdue: 0"):
        assert line in text
    cases = [line for line in text.splitlines() if line.startswith("- Case")]
    assert cases[0] == f"- Case 1, medium, overdue by 2 hours, 5 minutes, nobody, {short}"
    assert cases[1].startswith("- Case 2, medium, due in 23 hours, 5")
    assert len(cases) == 2
    assert "/console/risk/case/" in text


def test_it_comes_once_a_day(tenant: Tenant, sink: MailSink) -> None:
    digest = subscriber(tenant, f"desk@{tenant.slug}.example")
    with tenant_scope(tenant.id):
        raise_some("t-1")
    send(tenant)
    send(tenant)
    assert len(sink.letters) == 1
    with tenant_scope(tenant.id):
        Digest.objects.filter(id=digest.id).update(sent_on=timezone.now().date() - timedelta(days=1))
    send(tenant)
    assert len(sink.letters) == 2


def test_a_desk_without_work_is_told_nothing(tenant: Tenant, sink: MailSink) -> None:
    subscriber(tenant, f"desk@{tenant.slug}.example")
    send(tenant)
    assert sink.letters == []


def test_what_the_mail_server_refuses_comes_later_and_keeps_no_one_else_waiting(tenant: Tenant, sink: MailSink) -> None:
    emails = [f"{name}@{tenant.slug}.example" for name in ("away", "here")]
    for email in emails:
        subscriber(tenant, email)
    with tenant_scope(tenant.id):
        raise_some("t-1")
    sink.refused = {emails[0]}
    send(tenant)
    assert [letter(raw)[0] for raw in sink.letters] == [emails[1]]
    sink.refused = set()
    send(tenant)
    assert [letter(raw)[0] for raw in sink.letters] == [emails[1], emails[0]]


def test_who_leaves_gets_no_more(tenant: Tenant, sink: MailSink) -> None:
    gone = subscriber(tenant, f"gone@{tenant.slug}.example")
    with tenant_scope(tenant.id):
        raise_some("t-1")
    with connected_as("owner"), tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute("DELETE FROM tenancy_membership WHERE id = %s", [gone.membership_id])
    send(tenant)
    assert sink.letters == []
    with tenant_scope(tenant.id):
        assert not Digest.objects.exists()


def test_who_is_no_operator_any_more_or_cannot_log_in_gets_none(tenant: Tenant, sink: MailSink) -> None:
    analyst = subscriber(tenant, f"analyst@{tenant.slug}.example")
    away = subscriber(tenant, f"away@{tenant.slug}.example")
    with tenant_scope(tenant.id):
        raise_some("t-1")
    with connected_as("owner"), tenant_scope(tenant.id):
        Membership.objects.filter(id=analyst.membership_id).update(role=Role.ANALYST)
        User.objects.filter(email=away.email).update(is_active=False)
    send(tenant)
    assert sink.letters == []
    with connected_as("owner"), tenant_scope(tenant.id):
        Membership.objects.filter(id=analyst.membership_id).update(role=Role.OPERATOR)
    send(tenant)
    assert [letter(raw)[0] for raw in sink.letters] == [analyst.email]


def test_who_ends_it_gets_no_more(tenant: Tenant, sink: MailSink) -> None:
    digest = subscriber(tenant, f"desk@{tenant.slug}.example")
    with tenant_scope(tenant.id):
        raise_some("t-1")
        unsubscribe(digest_id=digest.id)
    send(tenant)
    assert sink.letters == []


def test_the_first_comes_when_its_hour_comes_next(tenant: Tenant) -> None:
    digest = subscriber(tenant, f"desk@{tenant.slug}.example")
    with tenant_scope(tenant.id):
        membership = Membership.objects.get(id=digest.membership_id)
        Digest.objects.all().delete()
        today = timezone.now().date()
        assert subscribe(membership=membership, email=digest.email, hour=0).sent_on == today
        # Another hour is no reason for a second one on the same day.
        changed = subscribe(membership=membership, email=digest.email, hour=23)
        assert (changed.hour, changed.sent_on) == (23, today)
        with pytest.raises(ValidationError):
            subscribe(membership=membership, email=digest.email, hour=24)


def test_a_digest_holds_no_raw_id(scope: Tenant) -> None:
    raise_some("t-1", user="anna-4711")
    text = digest_text("Acme", "desk@acme.example", datetime.now(UTC))
    assert "anna-4711" not in text
    assert "t-1" not in text


def test_another_tenants_desk_is_not_told(tenant: Tenant, other_tenant: Tenant, sink: MailSink) -> None:
    subscriber(tenant, f"desk@{tenant.slug}.example")
    with tenant_scope(other_tenant.id):
        raise_some("t-1")
    send(tenant)
    send(other_tenant)
    assert sink.letters == []
