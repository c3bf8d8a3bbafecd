"""The daily e-mail: how much waits at the desk, what is late, and where to begin."""

from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.timesince import timesince, timeuntil

from apps.risk.cases.models import UNDER_WAY, Case
from apps.risk.cases.selectors import cases, workload
from apps.risk.notifications.models import Digest
from console.rights import operators
from tenancy.models import Tenant
from tenancy.scope import current_tenant_id
from tenancy.secrets import public_subject_id
from tenancy.tasks import task_scope

CASES_SHOWN = 10
log = structlog.get_logger(__name__)


def send_due_digests() -> int:
    """Send those whose hour has come today; how many were. For a task that has no scope open.

    What a mail server refuses is tried again the next time. A desk without work is told nothing.
    """
    with task_scope():
        due = list(_due().values_list("id", flat=True))
    sent = 0
    for digest_id in due:
        try:
            with task_scope():
                sent += _send(digest_id)
        except OSError as error:  # what smtplib raises is one, too
            log.warning("digest_not_sent", digest=str(digest_id), error=type(error).__name__)
    return sent


def _due() -> QuerySet[Digest]:
    """Of those who may see the page that the mail leads to: an operator may have become a viewer since."""
    now = timezone.now()
    due = Digest.objects.filter(Q(sent_on=None) | Q(sent_on__lt=now.date()), hour__lte=now.hour)
    return due.filter(membership__in=operators())


def _send(digest_id: UUID) -> bool:
    """The row stays locked until the mail is on its way, so that no second worker sends it."""
    digest = _due().select_for_update(skip_locked=True).filter(id=digest_id).first()
    if digest is None:
        return False
    now = timezone.now()
    digest.sent_on = now.date()
    digest.save(update_fields=["sent_on"])
    load = workload()
    if load.under_way:
        business = Tenant.objects.get(id=current_tenant_id()).name
        subject = f"{business}: {load.under_way} risk cases under way, {load.overdue} overdue"
        send_mail(subject, digest_text(business, digest.email, now), settings.DEFAULT_FROM_EMAIL, [digest.email])
    return load.under_way > 0


def digest_text(business: str, email: str, now: datetime) -> str:
    """The mail to one member; whoever has a case is named as in the console, by e-mail."""
    load = workload()
    own = Case.objects.filter(assignee=email, status__in=UNDER_WAY)
    first = cases().filter(status__in=UNDER_WAY)[:CASES_SHOWN]
    return "\n".join(
        [
            f"Risk desk of {business}, {now:%Y-%m-%d %H:%M} UTC",
            "",
            f"Under way: {load.under_way}",
            f"Overdue: {load.overdue}",
            f"Waiting for a release: {load.waiting_for_release}",
            f"Yours: {own.count()}, of these overdue: {own.filter(due_at__lt=now).count()}",
            "",
            "Where to begin:",
            *(_line(case, now) for case in first),
            "",
            f"{settings.CONSOLE_URL}/console/risk/case/",
        ]
    )


def _line(case: Case, now: datetime) -> str:
    late = f"overdue by {timesince(case.due_at, now)}" if case.due_at < now else f"due in {timeuntil(case.due_at, now)}"
    subject = public_subject_id(bytes(case.subject_key))
    # Python's own spaces: the words of times have ones that do not break.
    return f"- Case {case.number}, {case.severity}, {late}, {case.assignee or 'nobody'}, {subject}".replace("\xa0", " ")
