"""What ad placement does off the request's path."""

from uuid import UUID

from celery import shared_task

from apps.ads.audiences import services as audiences
from apps.ads.pacing.services import add_up_goals, expire_steps, pace_flights
from apps.ads.tracking.conversions import bill_conversions, settle_conversions
from apps.ads.tracking.counting import count_creatives
from apps.ads.tracking.event_log import log_deliveries
from apps.ads.tracking.services import return_expired
from tenancy.tasks import enqueue_for_each_tenant, in_turn, tenant_task

# What spends or returns money outlasts the turns of other tenants that are before it.
MONEY_EXPIRES = 300.0


@shared_task(name="ads.pace", queue="default")
def pace_all() -> None:
    enqueue_for_each_tenant(pace_tenant)


@tenant_task(name="ads.pace_tenant", queue="default", sweeps=True, expires=MONEY_EXPIRES)
def pace_tenant() -> None:
    pace_flights()


@shared_task(name="ads.add_up_goals", queue="default")
def add_up_goals_of_all() -> None:
    enqueue_for_each_tenant(add_up_goals_of_tenant)


@tenant_task(name="ads.add_up_goals_of_tenant", queue="default", expires=3600.0)
def add_up_goals_of_tenant() -> None:
    add_up_goals()


@shared_task(name="ads.return_expired", queue="default")
def return_expired_of_all() -> None:
    enqueue_for_each_tenant(return_expired_of_tenant)


@tenant_task(name="ads.return_expired_of_tenant", queue="default", scoped=False, sweeps=True, expires=MONEY_EXPIRES)
def return_expired_of_tenant() -> None:
    in_turn(return_expired)


@shared_task(name="ads.settle_conversions", queue="default")
def settle_conversions_of_all() -> None:
    enqueue_for_each_tenant(settle_conversions_of_tenant)


@tenant_task(name="ads.settle_conversions_of_tenant", queue="default", scoped=False, sweeps=True, expires=MONEY_EXPIRES)
def settle_conversions_of_tenant() -> None:
    """Credited first and billed then, each slice in a transaction of its own."""
    for take_slice in (settle_conversions, bill_conversions):
        in_turn(take_slice)


@shared_task(name="ads.log_deliveries", queue="default")
def log_deliveries_of_all() -> None:
    enqueue_for_each_tenant(log_deliveries_of_tenant)


@tenant_task(name="ads.log_deliveries_of_tenant", queue="default", scoped=False, sweeps=True, expires=60.0)
def log_deliveries_of_tenant() -> None:
    in_turn(log_deliveries)


@shared_task(name="ads.count_creatives", queue="default")
def count_creatives_of_all() -> None:
    enqueue_for_each_tenant(count_creatives_of_tenant)


@tenant_task(name="ads.count_creatives_of_tenant", queue="default", expires=600.0)
def count_creatives_of_tenant() -> None:
    count_creatives()


@shared_task(name="ads.expire_pacing_steps", queue="default")
def expire_pacing_steps() -> None:
    enqueue_for_each_tenant(expire_pacing_steps_of_tenant)


@tenant_task(name="ads.expire_pacing_steps_of_tenant", queue="default")
def expire_pacing_steps_of_tenant() -> None:
    expire_steps()


@tenant_task(name="ads.build_audience", queue="train", scoped=False, acks_late=False)
def build_audience(build_id: str) -> None:
    audiences.run_build(UUID(build_id))


@shared_task(name="ads.tend_audiences", queue="default")
def tend_audiences() -> None:
    enqueue_for_each_tenant(tend_audiences_of_tenant)


@tenant_task(name="ads.tend_audiences_of_tenant", queue="default", expires=300.0)
def tend_audiences_of_tenant() -> None:
    audiences.tend()
