"""What was sent to workers and still waits in a queue."""

from dataclasses import dataclass
from typing import Any

from config.celery import app as celery_app
from tenancy.models import Tenant
from tenancy.tasks import TENANT_HEADER


@dataclass(frozen=True)
class Sent:
    task: str
    arguments: dict[str, Any]
    headers: dict[str, Any]


def take_messages(queue: str, tenant: Tenant) -> list[Sent]:
    """Empty the queue, and give what was sent for the tenant."""
    found = []
    with celery_app.connection_for_write() as broker:
        while (message := broker.default_channel.basic_get(queue, no_ack=True)) is not None:
            if message.headers[TENANT_HEADER] == tenant.id:
                found.append(Sent(message.headers["task"], message.payload[1], message.headers))
    return found
