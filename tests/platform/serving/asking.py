"""Questions to the live next-item model through the gateway."""

from typing import Any

from serving import gateway
from serving.gateway import Answer
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.waiting import until


def ask(tenant: Tenant, request: Any) -> Answer:
    with tenant_scope(tenant.id):
        return gateway.predict("next-item", request)


def ask_until(tenant: Tenant, request: Any, degraded: str | None) -> Answer:
    """The first answer of this kind; every answer before it is an answer too."""

    def answer_of_this_kind() -> Answer | None:
        answer = ask(tenant, request)
        assert answer.prediction is not None
        return answer if answer.degraded == degraded else None

    return until(answer_of_this_kind)
