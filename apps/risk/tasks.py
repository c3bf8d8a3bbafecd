"""What the risk application does off the request's path."""

from uuid import UUID

import structlog
from celery import shared_task

from apps.risk.back_tests import services as back_tests
from apps.risk.monitoring.challengers import ask_challenger, expire_shadow_scores
from apps.risk.monitoring.retraining import retrain_if_due
from apps.risk.notifications.digests import send_due_digests
from apps.risk.rules import counting
from apps.risk.transactions.projection import LITTLE, project_past, project_transactions, some_past_waits
from tenancy.tasks import enqueue, enqueue_for_each_tenant, in_turn, tenant_task

log = structlog.get_logger(__name__)


@shared_task(name="risk.project_transactions", queue="default")
def project_transactions_of_all() -> None:
    enqueue_for_each_tenant(project_transactions_of_tenant)


@tenant_task(name="risk.project_transactions_of_tenant", queue="default", sweeps=True, expires=60.0)
def project_transactions_of_tenant() -> None:
    """What comes in usually; much of it at once, and the past of types that were added, are long work."""
    if project_transactions(limit=LITTLE) >= LITTLE or some_past_waits():
        enqueue(project_much_of_tenant)


@tenant_task(name="risk.project_much_of_tenant", queue="slow", scoped=False, sweeps=True, expires=600.0)
def project_much_of_tenant() -> None:
    in_turn(project_transactions)
    in_turn(project_past)


@tenant_task(name="risk.run_back_test", queue="slow", scoped=False)
def run_back_test(back_test_id: str) -> None:
    back_tests.run_back_test(UUID(back_test_id))


@shared_task(name="risk.count_rule_hits", queue="default")
def count_rule_hits() -> None:
    enqueue_for_each_tenant(count_rule_hits_of_tenant)


@tenant_task(name="risk.count_rule_hits_of_tenant", queue="default", expires=60.0)
def count_rule_hits_of_tenant() -> None:
    counting.count_hits()


@shared_task(name="risk.tend_back_tests", queue="default")
def tend_back_tests() -> None:
    enqueue_for_each_tenant(tend_back_tests_of_tenant)


@tenant_task(name="risk.tend_back_tests_of_tenant", queue="default", expires=300.0)
def tend_back_tests_of_tenant() -> None:
    if given_up := back_tests.tend():
        log.warning("back_tests_given_up", back_tests=given_up)


@shared_task(name="risk.ask_challengers", queue="default")
def ask_challengers() -> None:
    enqueue_for_each_tenant(ask_challenger_of_tenant)


@tenant_task(name="risk.ask_challenger_of_tenant", queue="default", expires=60.0)
def ask_challenger_of_tenant() -> None:
    """Not on the queue of the predictions, which would wait for it."""
    ask_challenger()


@shared_task(name="risk.expire_shadow_scores", queue="default")
def expire_shadow_scores_of_all() -> None:
    enqueue_for_each_tenant(expire_shadow_scores_of_tenant)


@tenant_task(name="risk.expire_shadow_scores_of_tenant", queue="default")
def expire_shadow_scores_of_tenant() -> None:
    expire_shadow_scores()


@shared_task(name="risk.retrain", queue="default")
def retrain_all() -> None:
    enqueue_for_each_tenant(retrain_tenant)


@tenant_task(name="risk.retrain_tenant", queue="default")
def retrain_tenant() -> None:
    retrain_if_due()


@shared_task(name="risk.send_digests", queue="default")
def send_digests() -> None:
    enqueue_for_each_tenant(send_digests_of_tenant)


@tenant_task(name="risk.send_digests_of_tenant", queue="default", scoped=False, expires=600.0)
def send_digests_of_tenant() -> None:
    send_due_digests()
