"""From the worker that writes a reply to whoever reads along: a stream in Valkey for each reply, kept for minutes.

Only what has passed the checks goes in. Without Valkey nobody reads along; the reply itself is in the database.
"""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import structlog

from api.valkey import VALKEY_GONE, valkey
from tenancy.scope import current_tenant_id

log = structlog.get_logger(__name__)

KEPT_SECONDS = 300
BLOCK_MILLISECONDS = 100
# The worker's last word: how the reply ended is in the database.
ENDED = "ended"
Piece = tuple[str, dict[str, Any]]


def stream_key(tenant_id: int, reply_id: UUID) -> str:
    return f"sequitur:reply:{tenant_id}:{reply_id}"


class ReplyStream:
    """What a worker tells of one reply of the tenant in scope."""

    def __init__(self, reply_id: UUID) -> None:
        self.key = stream_key(current_tenant_id(), reply_id)

    def tell(self, event: str, data: dict[str, Any]) -> None:
        try:
            with valkey().pipeline(transaction=False) as pipeline:
                pipeline.xadd(self.key, {"event": event, "data": json.dumps(data, ensure_ascii=False)}, maxlen=500)
                pipeline.expire(self.key, KEPT_SECONDS)
                pipeline.execute()
        except VALKEY_GONE as error:
            log.warning("reply_not_streamed", reason=str(error))


def follow(tenant_id: int, reply_id: UUID) -> Iterator[Piece | None]:
    """Pieces in their order, from the first; None while nothing new comes. Never ends by itself."""
    key, last = stream_key(tenant_id, reply_id), "0"
    while True:
        try:
            found: Any = valkey().xread({key: last}, count=100, block=BLOCK_MILLISECONDS)
        except VALKEY_GONE:
            # It may refuse at once.
            time.sleep(BLOCK_MILLISECONDS / 1_000)
            found = []
        if not found:
            yield None
            continue
        for number, fields in found[0][1]:
            last = number
            yield fields[b"event"].decode(), json.loads(fields[b"data"])
