"""What the risk desk does periodically."""

from celery import shared_task

from apps.risk.transactions.projection import project_transactions
from tenancy.tasks import enqueue_for_each_tenant, task_scope, tenant_task


@shared_task(name="risk.project_transactions", queue="default")
def project_transactions_of_all() -> None:
    enqueue_for_each_tenant(project_transactions_of_tenant)


@tenant_task(name="risk.project_transactions_of_tenant", queue="default", scoped=False)
def project_transactions_of_tenant() -> None:
    """Slice by slice until nothing is left, each in a transaction of its own."""
    while True:
        with task_scope():
            if project_transactions() == 0:
                return
