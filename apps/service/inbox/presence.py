"""Who has a conversation open now: one entry in Valkey for each agent, refreshed by the page and gone soon after."""

import time
from uuid import UUID

import structlog

from api.valkey import VALKEY_GONE, valkey
from tenancy.scope import current_tenant_id

log = structlog.get_logger(__name__)

# The page refreshes every few seconds; who has not for so long has left.
SECONDS_HERE = 15


def look(conversation_id: UUID, agent: str) -> list[str]:
    """Say that `agent` has the conversation open; returns who else has, in order of name.

    Without Valkey nobody is seen; an answer to a conversation that has changed is refused all the same.
    """
    key, now = f"sequitur:open:{current_tenant_id()}:{conversation_id}", time.time()
    try:
        with valkey().pipeline(transaction=False) as pipeline:
            pipeline.zadd(key, {agent: now})
            pipeline.zremrangebyscore(key, "-inf", now - SECONDS_HERE)
            pipeline.expire(key, SECONDS_HERE)
            pipeline.zrange(key, 0, -1)
            here = pipeline.execute()[-1]
    except VALKEY_GONE as error:
        log.warning("viewers_unknown", reason=str(error))
        return []
    return sorted(name for each in here if (name := each.decode()) != agent)
