"""Writes to the event log: store a batch; replay or discard what the quarantine holds."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q
from django.utils import timezone

from behavior.clock import correct_times, keep_times
from behavior.judging import Judged, Reason, judge_events
from behavior.models import Quarantine
from behavior.quarantine import MAX_RAW, Kept, quarantine_events, raw_text, set_field
from behavior.storing import open_log, prepare, store_prepared
from behavior.subjects import Keyring
from tenancy.secrets import subject_secret

EXPIRED_AT_ONCE = 5_000
EXPIRES_SINCE = {"app": "behavior", "name": "0006_quarantine_expires"}
RESULTS = ("ok", "duplicate", "quarantined", "rejected", "retry")
CONFLICT: Reason = {
    "field": "message_id",
    "code": "conflict",
    "message": "belongs to another event already: same id, other content; give this event an id of its own",
}
TOO_LARGE: Reason = {
    "field": "event",
    "code": "too_large",
    "message": f"has more than {MAX_RAW // 1024} KB; shorten its texts and properties",
}


@dataclass(frozen=True)
class EventResult:
    """What became of one event of a batch: ok, duplicate, quarantined, or rejected (only the client can repair it)."""

    result: str
    message_id: str | None = None  # None when the event had no usable one
    errors: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class BatchResult:
    """One result for each event, in the order in which they came."""

    received_at: datetime
    results: list[EventResult]

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(result.result for result in self.results)
        return {name: found[name] for name in RESULTS}


def store_events(
    *, events: Sequence[Any], source: str, sent_at: datetime | None = None, historical: bool = False
) -> BatchResult:
    """Judge events in the form of the API and store the good ones, in the transaction of the tenant's scope.

    `sent_at` is the client's clock when it sent them. `historical` events keep their own time, however old it is.
    Nothing is dropped: each event is stored, known already, kept in quarantine, or rejected in the answer.
    """
    received_at = open_log()
    judged = judge_events(events)
    if historical:
        keep_times(judged, received_at=received_at)
    else:
        correct_times(judged, sent_at=sent_at, received_at=received_at)
    results = _store(events, judged, source=source, received_at=received_at)
    kept = [
        Kept(raw_text(event), result.message_id, list(result.errors))
        for event, result in zip(events, results, strict=True)
        if result.result == "quarantined"
    ]
    quarantine_events(kept, source=source, received_at=received_at, sent_at=sent_at, historical=historical)
    return BatchResult(received_at, results)


def _store(events: Sequence[Any], judged: Judged, *, source: str, received_at: datetime) -> list[EventResult]:
    stored = store_prepared(
        prepare(judged, received_at, Keyring(subject_secret())), received_at=received_at, source=source
    )
    for row in stored.conflicts:
        judged.reasons[row] = [CONFLICT]
    message_ids = judged.columns["message_id"]
    results = [EventResult("ok", message_id) for message_id in message_ids]
    for row in stored.duplicates:
        results[row] = EventResult("duplicate", message_ids[row])
    for row, reasons in judged.reasons.items():
        results[row] = _bad_result(message_ids[row], raw_text(events[row]), reasons)
    return results


def _bad_result(message_id: str | None, raw: str, reasons: Sequence[Reason]) -> EventResult:
    """Quarantined; or rejected when it is too large to keep, or has no message id by which a retry would be known."""
    if len(raw) > MAX_RAW:
        return EventResult("rejected", message_id, (*reasons, TOO_LARGE))
    return EventResult("rejected" if message_id is None else "quarantined", message_id, tuple(reasons))


def replay(*, quarantine_ids: Sequence[UUID], fixes: Mapping[str, Any], actor: str = "") -> dict[str, int]:
    """Send quarantined events through the pipeline again, after `fixes` ({"subject.user_id": "u1"}; None removes).

    Someone has looked at these, so no age is too old. What is stored now or was before is marked replayed; the others
    stay open with their new reasons. Safe to repeat. Returns {"replayed": n, "open": n}.
    """
    rows = (
        Quarantine.objects.select_for_update()
        .filter(id__in=quarantine_ids, status=Quarantine.Status.OPEN)
        .order_by("source", "historical", "received_at", "sent_at", "id")
    )
    counts = {"replayed": 0, "open": 0}
    for (source, historical, received_at, sent_at), group in groupby(
        rows, lambda row: (row.source, row.historical, row.received_at, row.sent_at)
    ):
        batch = list(group)
        events = [_fixed(row.raw, fixes) for row in batch]
        opened_at = open_log()
        judged = judge_events(events)
        if historical:
            keep_times(judged, received_at=received_at)
        else:
            correct_times(judged, sent_at=sent_at, received_at=received_at, oldest=None)
        results = _store(events, judged, source=source, received_at=opened_at)
        for row, result in zip(batch, results, strict=True):
            if result.result in ("ok", "duplicate"):
                row.status, row.resolved_at, row.resolved_by = Quarantine.Status.REPLAYED, timezone.now(), actor
                counts["replayed"] += 1
            else:
                row.reasons = list(result.errors)
                counts["open"] += 1
        Quarantine.objects.bulk_update(batch, ["status", "reasons", "resolved_at", "resolved_by"], batch_size=1000)
    return counts


def _fixed(raw: str, fixes: Mapping[str, Any]) -> Any:
    event = json.loads(raw)
    if isinstance(event, dict):
        for path, value in fixes.items():
            set_field(event, path, value)
    return event


def discard(*, quarantine_ids: Sequence[UUID], actor: str = "") -> int:
    """Give up on quarantined events; they stay readable for QUARANTINE_RESOLVED_DAYS. Returns how many were open."""
    return Quarantine.objects.filter(id__in=quarantine_ids, status=Quarantine.Status.OPEN).update(
        status=Quarantine.Status.DISCARDED, resolved_at=timezone.now(), resolved_by=actor
    )


def expire_quarantine() -> int:
    """Delete a slice of what was resolved QUARANTINE_RESOLVED_DAYS ago or came QUARANTINE_OPEN_DAYS ago, since it holds
    raw ids; returns how many events these were.

    What was open before anything expired has QUARANTINE_OPEN_DAYS from then on.
    """
    now = timezone.now()
    resolved_before = now - timedelta(days=settings.QUARANTINE_RESOLVED_DAYS)
    came_before = now - timedelta(days=settings.QUARANTINE_OPEN_DAYS)
    expired = Q(resolved_at__lt=resolved_before) & ~Q(status=Quarantine.Status.OPEN)
    if MigrationRecorder.Migration.objects.filter(**EXPIRES_SINCE, applied__lt=came_before).exists():
        expired |= Q(status=Quarantine.Status.OPEN, received_at__lt=came_before)
    ids = list(Quarantine.objects.filter(expired).values_list("id", flat=True)[:EXPIRED_AT_ONCE])
    return Quarantine.objects.filter(id__in=ids).delete()[0]
