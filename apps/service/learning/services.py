"""Taking over what agents accept and edit: each becomes a label to train on, and a past reply in knowledge."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Subquery
from django.utils import timezone

from apps.service.conversations.models import Message
from apps.service.knowledge.models import Source, SourceKind, SourceStatus, SourceVersion
from apps.service.knowledge.services import create_source
from apps.service.learning.models import LearnedReply
from apps.service.learning.templating import as_template
from apps.service.replies.asking import Asked, asked_of, heard_in, order_asked_of
from apps.service.replies.composing import SELECTION
from apps.service.replies.facts import Facts, read_facts_of_many, slot_values
from apps.service.replies.grounding.wording import sentences_of
from apps.service.replies.models import Reply, ReplyStatus
from apps.service.replies.settings import ServiceSettings, current_settings
from apps.service.understanding.examples import text_key
from apps.service.understanding.languages import detect_language
from tenancy.scope import current_tenant_id

log = structlog.get_logger(__name__)

ACTOR = "accepted replies"
TAKEN = (ReplyStatus.ACCEPTED, ReplyStatus.EDITED)
BATCH = 200
# A sweep looks at replies made so lately; taking a snapshot for training looks at all.
LATELY = timedelta(days=7)
LONGEST_TITLE = 100
EXTERNAL_ID = "accepted:"


@dataclass(frozen=True)
class Given:
    """A reply that an agent sent, with what is needed to learn from it."""

    reply: Reply
    asked: Asked
    facts: Facts

    def template(self) -> str:
        chosen = order_asked_of(self.asked, self.facts)
        return as_template(self.reply.final_text, slot_values(self.facts, chosen), self.asked.texts)


def learn_lately() -> int:
    """Take over what agents have accepted or edited of late; how many replies."""
    return _learn(timezone.now() - LATELY)


def learn_everything() -> int:
    return _learn(None)


def _learn(since: datetime | None) -> int:
    learned = 0
    while count := _learn_batch(since):
        learned += count
    return learned


@transaction.atomic
def _learn_batch(since: datetime | None) -> int:
    """The next batch; one worker at a time, so that a text becomes one past reply."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext('learned replies'))", [current_tenant_id()])
    settings = current_settings()
    batch = _waiting(since, settings)
    own_words = _bodies_of_macros([given.reply for given in batch])
    texts = {given.reply.id: own_words.get(given.reply.id) or given.template() for given in batch}
    sources = _sources(batch, texts, settings, own_words)
    LearnedReply.objects.bulk_create(
        [
            LearnedReply(
                reply=given.reply,
                source_id=sources.get(given.reply.id),
                text=texts[given.reply.id],
                given_at=given.reply.settled_at or given.reply.created_at,
            )
            for given in batch
        ],
        ignore_conflicts=True,
    )
    return len(batch)


def _waiting(since: datetime | None, settings: ServiceSettings) -> list[Given]:
    taken = Reply.objects.filter(status__in=TAKEN).exclude(Exists(LearnedReply.objects.filter(reply=OuterRef("pk"))))
    number = Message.objects.filter(id=OuterRef("message")).values("number")
    replies = list(
        (taken if since is None else taken.filter(created_at__gte=since))
        .select_related("conversation")
        .annotate(answers=Subquery(number[:1]))
        .order_by("created_at")[:BATCH]
    )
    if not replies:
        return []
    conversations = {reply.conversation_id for reply in replies}
    messages: dict[UUID, list[Message]] = defaultdict(list)
    for message in Message.objects.filter(conversation__in=conversations).order_by("-number"):
        messages[message.conversation_id].append(message)
    heard = heard_in(conversations)
    keys = {reply.id: bytes(reply.conversation.subject_key) for reply in replies}
    facts = read_facts_of_many(list(keys.values()), settings.order_event_types)
    return [
        Given(
            reply,
            asked_of(
                reply.conversation,
                [each for each in messages[reply.conversation_id] if each.number <= reply.answers],
                heard,
            ),
            facts.get(keys[reply.id], Facts()),
        )
        for reply in replies
    ]


def _bodies_of_macros(replies: Sequence[Reply]) -> dict[UUID, str]:
    """By reply the template that was given as it is, as it was written then."""
    cited = {
        reply.id: (UUID(reply.citations[0]["source"]), reply.citations[0]["version"])
        for reply in replies
        if reply.status == ReplyStatus.ACCEPTED and reply.backend == SELECTION and reply.citations
    }
    versions = SourceVersion.objects.filter(source__in={source for source, _ in cited.values()})
    found = {
        (source, version): contents["body"]
        for source, version, contents in versions.values_list("source", "version", "contents")
    }
    return {reply: found[place] for reply, place in cited.items() if place in found}


def _sources(
    batch: Sequence[Given], texts: Mapping[UUID, str], settings: ServiceSettings, own_words: Mapping[UUID, str]
) -> dict[UUID, UUID]:
    """By reply the source that says it: the macro or past reply that it was, one with the same text, or a new one."""
    found = {given.reply.id: UUID(given.reply.citations[0]["source"]) for given in batch if given.reply.id in own_words}
    others = [given for given in batch if given.reply.id not in own_words]
    keys = {given.reply.id: f"{EXTERNAL_ID}{text_key(texts[given.reply.id])}" for given in others}
    known: dict[str, UUID] = dict(
        Source.objects.filter(kind=SourceKind.REPLY, external_id__in=set(keys.values())).values_list(
            "external_id", "id"
        )
    )
    same = Source.objects.filter(kind=SourceKind.MACRO, status=SourceStatus.PUBLISHED, body__in=set(texts.values()))
    macros: dict[str, UUID] = dict(same.values_list("body", "id"))
    for given in others:
        text, key = texts[given.reply.id], keys[given.reply.id]
        source = macros.get(text) or known.get(key)
        # What was said to customers of a segment is not for everybody to read.
        if source is None and settings.learn_past_replies and not given.reply.conversation.segments:
            source = _new_past_reply(text, key)
        if source is not None:
            found[given.reply.id] = known[key] = source
    return found


def _new_past_reply(text: str, key: str) -> UUID | None:
    """None where knowledge does not take the text, such as one with braces of its own."""
    fields: dict[str, Any] = {"title": _title(text), "body": text, "language": detect_language(text)}
    try:
        return create_source(kind=SourceKind.REPLY, actor=ACTOR, publish=True, external_id=key, **fields).id
    except ValidationError as error:
        log.info("past_reply_not_taken", reason="; ".join(error.messages))
        return None


def _title(text: str) -> str:
    """The beginning of the reply itself: what the customer wrote is nobody else's to read."""
    first = " ".join((sentences_of(text) or [text])[0].split())
    return first if len(first) <= LONGEST_TITLE else f"{first[: LONGEST_TITLE - 1]}…"
