"""Statements that each reply needs, written out: the server parses and plans them once for a connection, and making
them from the models takes longer than running them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model
from django.utils import timezone

from apps.service.conversations.models import Conversation, Message, Role
from apps.service.replies.models import Reply, ReplyStatus
from decisions.models import Decision
from decisions.services import INSERT_MANY, rows_to_store
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

# Of a conversation's messages so many, the newest first.
MESSAGES_READ = 12

Row = TypeVar("Row", bound=Model)


def _columns(model: type[Model]) -> str:
    return ", ".join(str(field.column) for field in model._meta.concrete_fields)


LOCK = f"SELECT {_columns(Conversation)} FROM service_conversation WHERE tenant_id = %s AND id = %s FOR UPDATE"
# A statement of its own: one that waits for the lock does not see what others have written meanwhile.
MESSAGES = f"""
    SELECT (SELECT status FROM service_reply WHERE tenant_id = message.tenant_id AND message_id = message.id),
        {_columns(Message)}
    FROM service_message AS message WHERE tenant_id = %s AND conversation_id = %s
    ORDER BY number DESC LIMIT {MESSAGES_READ}"""
# An UPDATE sees nothing of what is inserted beside it, so that the new reply stays as it is.
SUPERSEDED = """
    UPDATE service_reply SET status = 'superseded', settled_at = %(now)s
    WHERE tenant_id = %(tenant)s AND conversation_id = %(conversation_id)s AND status IN ('under_way', 'waiting')"""
INSERT = f"""
    INSERT INTO service_reply ({_columns(Reply)})
    VALUES ({", ".join(f"%({field.column})s" for field in Reply._meta.concrete_fields)})"""
STORE = f"WITH superseded AS ({SUPERSEDED}) {INSERT}"
STORE_DECIDED = f"WITH superseded AS ({SUPERSEDED}), decided AS ({INSERT_MANY}) {INSERT}"


@dataclass(frozen=True)
class Waiting:
    """A conversation, locked, with its last messages, the newest first. `newest` is the customer's newest one, None
    where there is none; `is_answered` says that it has its reply already. `heard` has the ids of messages whose reply
    has handed off."""

    conversation: Conversation
    messages: Sequence[Message]
    newest: Message | None
    is_answered: bool
    heard: Collection[UUID]


def lock_waiting(conversation_id: UUID) -> Waiting:
    """Lock a conversation and read what waits in it; two statements. Raises Conversation.DoesNotExist."""
    with prepared_cursor() as cursor:
        cursor.execute(LOCK, [current_tenant_id(), conversation_id])
        row = cursor.fetchone()
        if row is None:
            raise Conversation.DoesNotExist
        cursor.execute(MESSAGES, [current_tenant_id(), conversation_id])
        rows = [(_stored(Message, values), reply) for reply, *values in cursor.fetchall()]
    of_customer = [(message, reply) for message, reply in rows if message.role == Role.CUSTOMER]
    newest, reply = of_customer[0] if of_customer else (None, None)
    return Waiting(
        conversation=_stored(Conversation, row),
        messages=[message for message, _ in rows],
        newest=newest,
        is_answered=reply is not None,
        heard={message.id for message, reply in rows if reply == ReplyStatus.HANDED_OFF},
    )


def store_reply(reply: Reply, decision: Decision | None) -> None:
    """Store a new reply with its decision, where it has been made. Those to earlier messages of its conversation that
    are under way, and drafts that nobody has judged, are superseded; the conversation must be locked."""
    values: dict[str, Any] = {
        str(field.column): field.get_db_prep_save(field.pre_save(reply, True), connection)
        for field in Reply._meta.concrete_fields
    }
    values |= {"tenant": current_tenant_id(), "now": timezone.now()}
    with prepared_cursor() as cursor:
        if decision is None:
            cursor.execute(STORE, values)
        else:
            cursor.execute(STORE_DECIDED, values | {"decisions": rows_to_store([decision])})
    reply._state.adding, reply._state.db = False, connection.alias


def _stored(model: type[Row], values: Sequence[Any]) -> Row:
    """The instance of a row with all columns of its model, in their order."""
    fields = model._meta.concrete_fields
    read = [
        field.from_db_value(value, None, connection) if hasattr(field, "from_db_value") else value
        for field, value in zip(fields, values, strict=True)
    ]
    return model.from_db(connection.alias, [field.attname for field in fields], read)
