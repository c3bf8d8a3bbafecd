"""What webhooks are told of conversations: each new message, each hand-off."""

from apps.service.conversations.models import Conversation, Message
from webhooks.outbox import tell

NEW_MESSAGE, HANDED_OFF = "conversation.message", "conversation.handed_off"
EVENTS = {
    NEW_MESSAGE: "A message was added to a conversation, by whomever",
    HANDED_OFF: "A conversation was handed off to an agent",
}


def tell_message(conversation: Conversation, message: Message) -> None:
    data = {
        "message": {
            "id": str(message.id),
            "client_id": message.client_id,
            "number": message.number,
            "role": str(message.role),
            "author": message.author,
            "text": message.text,
            "created_at": message.created_at.isoformat(),
        }
    }
    tell([(NEW_MESSAGE, {"conversation": _named(conversation), **data})])


def tell_hand_off(conversation: Conversation) -> None:
    tell([(HANDED_OFF, {"conversation": _named(conversation), "hand_off": conversation.hand_off})])


def _named(conversation: Conversation) -> dict[str, str | None]:
    return {
        "id": str(conversation.id),
        "channel": conversation.channel,
        "status": str(conversation.status),
        "assignee": conversation.assignee,
        "source": conversation.source,
        "external_id": conversation.external_id,
    }
