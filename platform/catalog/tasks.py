"""What the catalogue does periodically."""

from celery import shared_task

from catalog.text_index import index_changed_items
from tenancy.tasks import enqueue_for_each_tenant, in_turn, tenant_task

# As often as beat sends them; one that has waited for longer than that is of no use.
INDEX_SECONDS = 15.0


@shared_task(name="catalog.index_changed_items", queue="default")
def index_changed_items_of_all() -> None:
    enqueue_for_each_tenant(index_changed_items_of_tenant)


@tenant_task(name="catalog.index_changed_items_of_tenant", scoped=False, expires=INDEX_SECONDS)
def index_changed_items_of_tenant() -> None:
    """In short transactions: the first walk reads the whole catalogue."""
    in_turn(index_changed_items)
