"""What customer service does off the request's path."""

from uuid import UUID

import structlog
from celery import shared_task

from apps.service.conversations.models import Conversation
from apps.service.replies import jobs
from apps.service.replies.services import NothingToAnswer, reply_to
from tenancy.tasks import enqueue_for_each_tenant, tenant_task

log = structlog.get_logger(__name__)


@tenant_task(name="service.generate_reply", queue="generate", scoped=False)
def generate_reply(reply_id: str) -> None:
    jobs.run_job(UUID(reply_id))


@tenant_task(name="service.answer_conversation", queue="default", expires=3600.0)
def answer_conversation(conversation_id: str) -> None:
    """Reply to what came in from a help desk, which waits for no answer of the API."""
    try:
        reply_to(conversation_id=UUID(conversation_id))
    except (Conversation.DoesNotExist, NothingToAnswer) as error:
        log.info("nothing_to_answer", conversation=conversation_id, reason=str(error))


@shared_task(name="service.settle_late_replies", queue="default")
def settle_late_replies() -> None:
    enqueue_for_each_tenant(settle_late_replies_of_tenant)


@tenant_task(name="service.settle_late_replies_of_tenant", queue="default", expires=60.0)
def settle_late_replies_of_tenant() -> None:
    if settled := jobs.settle_late():
        log.warning("late_replies_settled", replies=settled)
