"""Back-tests: asked for, run by a worker, reported."""

from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

import structlog
from celery import signature
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.risk.assessments.settings import current_settings
from apps.risk.back_tests.history import read_history
from apps.risk.back_tests.models import BackTest
from apps.risk.back_tests.reports import BackTestReport, measure, start_of
from apps.risk.rules.fields import read_expression
from apps.risk.rules.language.syntax import ExpressionError, Node
from apps.risk.rules.models import RiskRule, RiskRuleMode
from apps.risk.rules.selectors import rules
from apps.risk.rules.services import check_expression
from tenancy.tasks import enqueue, task_scope

log = structlog.get_logger(__name__)

MOST_DAYS = 366
MOST_WAITING = 5
# Of the work; reading the transactions comes first.
READING = 0.2
Status = BackTest.Status
UNDER_WAY = (Status.QUEUED, Status.RUNNING)
SILENT = timedelta(hours=1)
UNHEARD = timedelta(minutes=5)
LEFT = "no worker ended it within an hour; choose fewer days, or start it again"


class TooManyBackTests(Exception):
    """So many are under way that another one has to wait."""


def request_back_test(
    *, expression: str, action: str, from_day: date, to_day: date, actor: str, rule: RiskRule | None = None
) -> BackTest:
    """Queue a back-test over whole days (UTC), both ends included. Raises ValidationError and TooManyBackTests."""
    check_expression(expression)
    if to_day < from_day:
        raise ValidationError({"to": "must not come before 'from'"})
    if (to_day - from_day).days >= MOST_DAYS:
        raise ValidationError({"to": f"at most {MOST_DAYS} days at once; choose a later 'from'"})
    if not date(2000, 1, 1) <= from_day <= to_day <= timezone.now().date():
        raise ValidationError({"to": "the days must lie between 2000-01-01 and today"})
    if BackTest.objects.filter(status__in=UNDER_WAY).count() >= MOST_WAITING:
        raise TooManyBackTests(f"{MOST_WAITING} back-tests are under way; wait for one to end")
    made = BackTest.objects.create(
        rule=rule, expression=expression, action=action, from_day=from_day, to_day=to_day, requested_by=actor
    )
    _announce(made.id)
    return made


def run_back_test(back_test_id: UUID) -> None:
    """Work on a queued back-test; nothing happens when it is not queued any more."""
    with task_scope():
        taken = BackTest.objects.filter(id=back_test_id, status=Status.QUEUED).update(
            status=Status.RUNNING, started_at=timezone.now()
        )
        back_test = BackTest.objects.get(id=back_test_id)
    if not taken:
        return
    try:
        report = _measure(back_test)
    except Exception as error:
        log.exception("back_test_failed", back_test=str(back_test_id))
        told = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        _update(back_test_id, status=Status.FAILED, error=told, finished_at=timezone.now())
        return
    _update(back_test_id, status=Status.SUCCEEDED, report=report.to_dict(), progress=1.0, finished_at=timezone.now())


def tend() -> int:
    """Announce again what waits, since its message may be lost; fail what a worker must have left, and return how many
    these are."""
    now = timezone.now()
    for id in BackTest.objects.filter(status=Status.QUEUED, created_at__lt=now - UNHEARD).values_list("id", flat=True):
        _announce(id)
    silent = BackTest.objects.filter(status=Status.RUNNING, started_at__lt=now - SILENT)
    return silent.update(status=Status.FAILED, error=LEFT, finished_at=now)


def _announce(back_test_id: UUID) -> None:
    """A worker takes what is queued, so that a second message does nothing."""
    enqueue(
        signature("risk.run_back_test", queue="slow", expires=SILENT.total_seconds()), back_test_id=str(back_test_id)
    )


def _measure(back_test: BackTest) -> BackTestReport:
    node = read_expression(back_test.expression)
    since, until = start_of(back_test.from_day), start_of(back_test.to_day) + timedelta(days=1)
    with task_scope():
        live = _live_rules(without=back_test.rule_id)
        label_delay = timedelta(days=current_settings().label_delay_days)
        history = read_history([node, *live.values()], since, until)
    return measure(
        history,
        node,
        live,
        since=since,
        until=until,
        now=timezone.now(),
        label_delay=label_delay,
        progress=_progress_of(back_test.id),
    )


def _live_rules(without: UUID | None) -> dict[str, Node]:
    """Those in force now: a live one judges nothing outside of its days."""
    read = {}
    for rule in rules(RiskRuleMode.LIVE):
        if not rule.is_due or rule.id == without:
            continue
        try:
            read[rule.key] = read_expression(rule.expression)
        except ExpressionError as error:
            log.warning("risk_rule_unusable", rule=rule.key, error=str(error))
    return read


def _progress_of(back_test_id: UUID) -> Callable[[float], None]:
    return lambda share: _update(back_test_id, progress=READING + (1 - READING) * share)


def _update(back_test_id: UUID, **values: object) -> None:
    """One that was given up meanwhile stays as it is."""
    with task_scope():
        BackTest.objects.filter(id=back_test_id, status=Status.RUNNING).update(**values)
