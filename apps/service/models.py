"""All tables of the application; each topic keeps its own."""

from apps.service.conversations.models import Conversation, ConversationEvent, Message
from apps.service.experiments.models import Experiment
from apps.service.knowledge.models import Chunk, KnowledgeImport, Source, SourceVersion, TermCount, UsualQuestion
from apps.service.learning.models import LearnedReply
from apps.service.replies.models import Reply, ReplyBackend
from apps.service.reports.models import ServiceReport
from apps.service.understanding.models import Intent, IntentExample, UnderstandingSettings

__all__ = [
    "Chunk",
    "Conversation",
    "ConversationEvent",
    "Experiment",
    "Intent",
    "IntentExample",
    "KnowledgeImport",
    "LearnedReply",
    "Message",
    "Reply",
    "ReplyBackend",
    "ServiceReport",
    "Source",
    "SourceVersion",
    "TermCount",
    "UnderstandingSettings",
    "UsualQuestion",
]
