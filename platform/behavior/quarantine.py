"""What could not be stored is kept word for word, with reasons, until someone repairs or discards it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from uuid_utils.compat import uuid7

from behavior.judging import Reason
from behavior.models import Quarantine
from tenancy.scope import current_tenant_id

MAX_RAW = 64 * 1024  # characters


@dataclass(frozen=True)
class Kept:
    """One raw event for the quarantine."""

    raw: str
    message_id: str | None
    reasons: list[Reason]
    row_number: int | None = None


def raw_text(event: Any) -> str:
    """ASCII-only JSON text: carries NUL, NaN and lone surrogates through, and reads back as the same event."""
    return json.dumps(event, ensure_ascii=True, separators=(",", ":"), default=str)


def quarantine_events(
    events: Sequence[Kept],
    *,
    source: str,
    received_at: datetime,
    sent_at: datetime | None = None,
    historical: bool = False,
) -> None:
    """Keep events; the same event sent again is kept once, whatever has become of it since."""
    if not events:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO behavior_quarantine (tenant_id, id, source, row_number, message_id, raw, fingerprint, "
            "reasons, received_at, sent_at, historical, status, resolved_by) "
            "SELECT %s, id, %s, row_number, message_id, raw, fingerprint, reasons::jsonb, %s, %s, %s, %s, '' "
            "FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::bytea[], %s::text[]) "
            "AS t(id, row_number, message_id, raw, fingerprint, reasons) ON CONFLICT DO NOTHING",
            [
                current_tenant_id(),
                source,
                received_at,
                sent_at,
                historical,
                Quarantine.Status.OPEN,
                [uuid7() for _ in events],
                [event.row_number for event in events],
                [event.message_id for event in events],
                [event.raw for event in events],
                [hashlib.sha256(event.raw.encode()).digest() for event in events],
                [json.dumps(event.reasons) for event in events],
            ],
        )


def set_field(event: dict[str, Any], path: str, value: Any) -> None:
    """Set `subject.user_id`-like paths; None takes the field out."""
    name, _, rest = path.partition(".")
    if rest:
        inner = event.get(name)
        event[name] = inner = dict(inner) if isinstance(inner, dict) else {}
        set_field(inner, rest, value)
    elif value is None:
        event.pop(name, None)
    else:
        event[name] = value
