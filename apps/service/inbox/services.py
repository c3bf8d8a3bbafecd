"""Writes of the inbox: an agent's own answer, and giving a conversation back to the bot."""

from uuid import UUID

from django.db import transaction

from apps.service.conversations import services as conversations
from apps.service.conversations.models import Conversation, ConversationStatus, Message, Role
from apps.service.conversations.selectors import unanswered_since, written_since
from apps.service.conversations.services import ConversationChanged
from apps.service.replies.judging import reject_reply
from apps.service.replies.models import Reply, ReplyStatus
from apps.service.replies.slots import as_given, check_filled


def give_back(*, conversation_id: UUID, actor: str, version: int, note: str = "") -> None:
    """Leave what was handed off to the bot again: nobody has it, and it is open where a message waits.

    Raises Conversation.DoesNotExist, ConversationChanged and ValidationError.
    """
    with transaction.atomic():
        conversations.assign(conversation_id=conversation_id, assignee="", actor=actor, version=version)
        waits = unanswered_since(conversation_id) is not None
        to = ConversationStatus.OPEN if waits else ConversationStatus.WAITING
        conversations.move(conversation_id=conversation_id, to=to, actor=actor, note=note)


def answer(
    *,
    conversation_id: UUID,
    text: str,
    actor: str,
    seen: int,
    client_id: str,
    agent_name: str = "",
    draft: UUID | None = None,
) -> Message:
    """Send what an agent wrote. The `draft` that the agent saw is rejected by it, if it still waits, and any other is
    superseded.

    The agent's name goes where the text has a place for it; with another place left open it is refused. `seen` is how
    many messages the agent has seen: with one more, written by whomever, the answer is refused. Sent
    again under the same `client_id` it is stored once. Raises Conversation.DoesNotExist, ConversationChanged,
    ValidationError, MessageConflict and CustomerUnknown.
    """
    text = as_given(text, agent_name)
    check_filled(text)
    with transaction.atomic():
        conversation = Conversation.objects.select_for_update().get(id=conversation_id)
        is_stored = Message.objects.filter(conversation=conversation, client_id=client_id).exists()
        if not is_stored and (who := written_since(conversation, seen)):
            raise ConversationChanged(f"{who} has written meanwhile. Nothing was sent; your text is kept below.")
        waiting = Reply.objects.filter(conversation=conversation, status=ReplyStatus.WAITING)
        if draft and waiting.filter(id=draft).exists():
            reject_reply(reply_id=draft, actor=actor)
        return conversations.add_message(
            conversation_id=conversation_id, role=Role.AGENT, text=text, client_id=client_id, author=actor
        ).message
