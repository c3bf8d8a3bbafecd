"""Conversations with the replies that agents gave and what their customers did before, as training reads them."""

from pathlib import Path
from typing import Any

from django.db import connection
from uuid_utils.compat import uuid7

from apps.service import engine
from apps.service.conversations.events import OWN_TYPES
from apps.service.learning.models import LearnedReply
from apps.service.learning.services import TAKEN, learn_everything
from apps.service.replies.masking import Mask
from apps.service.replies.models import Reply
from apps.service.replies.ranking import EVENTS_READ, MESSAGES_READ
from behavior.models import Consent
from tenancy.scope import current_tenant_id

# With fewer, too few are held out to choose and judge by.
LEAST_PAIRS = 200
MOST_PAIRS = 20_000
PAGE = 1_000
# The rows first, each by its id, and what their customers did after: tables that were never analysed, as on a new
# install, are joined so badly otherwise that the persons of all combinations are looked up.
PAIRS = """
    WITH given AS MATERIALIZED (
        SELECT learned.id, learned.tenant_id, learned.text, learned.given_at, reply.conversation_id, message.number,
            message.created_at, conversation.subject_key, conversation.anonymous_key
        FROM service_learnedreply AS learned
        CROSS JOIN LATERAL (SELECT conversation_id, message_id FROM service_reply
            WHERE tenant_id = learned.tenant_id AND id = learned.reply_id LIMIT 1) AS reply
        CROSS JOIN LATERAL (SELECT subject_key, anonymous_key FROM service_conversation
            WHERE tenant_id = learned.tenant_id AND id = reply.conversation_id LIMIT 1) AS conversation
        CROSS JOIN LATERAL (SELECT number, created_at FROM service_message
            WHERE tenant_id = learned.tenant_id AND id = reply.message_id LIMIT 1) AS message
        WHERE learned.tenant_id = %(tenant)s AND learned.id = ANY(%(ids)s)
    )
    SELECT given.text, given.conversation_id::text, extract(epoch FROM given.given_at)::float8, said.texts,
        coalesce(done.events, '[]')
    FROM given
    CROSS JOIN LATERAL (
        SELECT array_agg(last.text ORDER BY last.number) AS texts FROM (
            SELECT text, number FROM service_message
            WHERE tenant_id = given.tenant_id AND conversation_id = given.conversation_id AND role = 'customer'
                AND number <= given.number
            ORDER BY number DESC LIMIT %(messages)s
        ) AS last
    ) AS said
    CROSS JOIN LATERAL (
        SELECT json_agg(json_build_object('type', last.type, 'item', last.item_id, 'value', last.value,
            'time', extract(epoch FROM last.occurred_at)::float8) ORDER BY last.occurred_at, last.event_id) AS events
        FROM (
            SELECT type, item_id, value, occurred_at, event_id
            FROM behavior_person(%(tenant)s, array_remove(
                ARRAY[given.subject_key, given.anonymous_key], NULL)) AS person
            JOIN behavior_event AS event ON event.tenant_id = %(tenant)s AND event.subject_key = person.key
                AND event.occurred_at > person.after AND event.occurred_at <= person.until
                AND event.occurred_at < given.created_at
            WHERE event.consent & %(training)s <> 0 AND event.type <> ALL(%(own)s)
            ORDER BY occurred_at DESC, event_id DESC LIMIT %(events)s
        ) AS last
    ) AS done
    ORDER BY given.given_at, given.id"""


def missing_pairs() -> str | None:
    """What is missing before a model of replies can be trained; None where nothing is."""
    pairs = Reply.objects.filter(status__in=TAKEN).count()
    if pairs >= LEAST_PAIRS:
        return None
    return (
        f"agents have accepted or edited {pairs} replies; training needs {LEAST_PAIRS}: judge more drafts in the inbox"
    )


def take_snapshot(config: dict[str, Any], folder: Path) -> Path:
    """Write the newest MOST_PAIRS pairs below `folder`, which is the tenant's own, and return where. Personal data is
    masked."""
    learn_everything()
    newest = LearnedReply.objects.order_by("-given_at", "-id").values_list("id", flat=True)
    ids = list(newest[:MOST_PAIRS])[::-1]
    rows = [row for start in range(0, len(ids), PAGE) for row in _read(ids[start : start + PAGE])]
    path = folder / f"replies-{uuid7()}"
    engine.write_reply_pairs(
        path,
        conversations=[_masked(row[3]) for row in rows],
        replies=[row[0] for row in rows],
        events=[row[4] for row in rows],
        groups=[row[1] for row in rows],
        times=[row[2] for row in rows],
    )
    return path


def _read(ids: list[Any]) -> list[tuple[Any, ...]]:
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "ids": ids,
        "messages": MESSAGES_READ,
        "events": EVENTS_READ,
        "own": list(OWN_TYPES),
        "training": int(Consent.TRAINING),
    }
    with connection.cursor() as cursor:
        cursor.execute(PAIRS, values)
        return cursor.fetchall()


def _masked(texts: list[str]) -> list[str]:
    mask = Mask()
    return [mask.hide(text) for text in texts]
