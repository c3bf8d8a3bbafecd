"""What customer service does off the request's path."""

from typing import Any
from uuid import UUID

import structlog
from celery import shared_task
from celery.signals import worker_ready

from apps.service.conversations.models import Conversation
from apps.service.conversations.selectors import ANSWERED_WITHIN, has_gone_on, left_unanswered
from apps.service.knowledge import encoding, usual
from apps.service.learning.retraining import retrain_cross_encoder_if_due, retrain_if_due
from apps.service.learning.services import learn_lately
from apps.service.replies import jobs
from apps.service.replies.services import NothingToAnswer, reply_to
from apps.service.replies.settings import current_settings
from serving.text_vectors import MAY_WAIT, load_encoder
from tenancy.scope import tenant_scope
from tenancy.selectors import active_tenant_ids
from tenancy.tasks import enqueue, enqueue_for_each_tenant, task_scope, tenant_task

log = structlog.get_logger(__name__)


@shared_task(name="service.encode_knowledge", queue="default")
def encode_knowledge() -> None:
    """What a lost task, a broker that was away or another encoder has left."""
    enqueue_for_each_tenant(encode_knowledge_of_tenant)


@tenant_task(name=encoding.TASK, queue="encode", scoped=False, sweeps=True, expires=MAY_WAIT)
def encode_knowledge_of_tenant() -> None:
    if encoding.encode_waiting():
        with task_scope():
            if encoding.some_wait():
                enqueue(encode_knowledge_of_tenant)


@shared_task(name="service.count_knowledge_terms", queue="default")
def count_knowledge_terms() -> None:
    enqueue_for_each_tenant(count_knowledge_terms_of_tenant)


@tenant_task(name="service.count_knowledge_terms_of_tenant", queue="default", expires=60.0)
def count_knowledge_terms_of_tenant() -> None:
    encoding.count_terms()


@shared_task(name="service.learn_usual_questions", queue="default")
def learn_usual_questions() -> None:
    enqueue_for_each_tenant(learn_usual_question_of_tenant)


@tenant_task(name="service.learn_usual_question_of_tenant", queue="encode", scoped=False, expires=600.0)
def learn_usual_question_of_tenant() -> None:
    usual.learn_usual_question()


@worker_ready.connect
def load_encoder_for_searches(sender: Any, **_: Any) -> None:
    """A worker of the infer queue has the encoder in memory before the first search comes."""
    if "infer" not in sender.app.amqp.queues.consume_from:
        return
    for tenant_id in active_tenant_ids():
        with tenant_scope(tenant_id):
            wanted = encoding.has_vectors()
        if wanted:
            load_encoder()
            return


@shared_task(name="service.learn", queue="default")
def learn_from_agents() -> None:
    enqueue_for_each_tenant(learn_from_agents_of_tenant)


@tenant_task(name="service.learn_of_tenant", queue="default", expires=60.0)
def learn_from_agents_of_tenant() -> None:
    if learned := learn_lately():
        log.info("replies_learned", replies=learned)


@shared_task(name="service.retrain", queue="default")
def retrain_all() -> None:
    enqueue_for_each_tenant(retrain_tenant)


@tenant_task(name="service.retrain_tenant", queue="default")
def retrain_tenant() -> None:
    retrain_if_due()
    retrain_cross_encoder_if_due()


@tenant_task(name="service.generate_reply", queue="generate", scoped=False)
def generate_reply(reply_id: str) -> None:
    jobs.run_job(UUID(reply_id))


@tenant_task(name="service.answer_conversation", queue="default", expires=ANSWERED_WITHIN.total_seconds())
def answer_conversation(conversation_id: str, message_id: str) -> None:
    """Reply to what came in from a help desk, which waits for no answer of the API; to several messages in a row once,
    when the last of them has waited."""
    if has_gone_on(UUID(conversation_id), UUID(message_id)):
        return
    try:
        reply_to(conversation_id=UUID(conversation_id))
    except (Conversation.DoesNotExist, NothingToAnswer) as error:
        log.info("nothing_to_answer", conversation=conversation_id, reason=str(error))


@shared_task(name="service.answer_left", queue="default")
def answer_left() -> None:
    enqueue_for_each_tenant(answer_left_of_tenant)


@tenant_task(name="service.answer_left_of_tenant", queue="default", expires=60.0)
def answer_left_of_tenant() -> None:
    """What a broker that was away has lost."""
    if not current_settings().answers_inbound:
        return
    for conversation_id, message_id in left_unanswered():
        enqueue(answer_conversation, conversation_id=str(conversation_id), message_id=str(message_id))


@shared_task(name="service.settle_late_replies", queue="default")
def settle_late_replies() -> None:
    enqueue_for_each_tenant(settle_late_replies_of_tenant)


@tenant_task(name="service.settle_late_replies_of_tenant", queue="default", expires=60.0)
def settle_late_replies_of_tenant() -> None:
    if settled := jobs.settle_late():
        log.warning("late_replies_settled", replies=settled)
