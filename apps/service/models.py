"""All tables of the application; each topic keeps its own."""

from apps.service.conversations.models import Conversation, ConversationEvent, Message
from apps.service.replies.models import Reply, ReplyBackend

__all__ = [
    "Conversation",
    "ConversationEvent",
    "Message",
    "Reply",
    "ReplyBackend",
]
