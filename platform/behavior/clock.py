"""When an event happened, whatever the client's clock says."""

from datetime import UTC, datetime, timedelta

import numpy as np

from behavior.judging import Judged
from behavior.models import TimeQuality
from behavior.parsing import SECOND

OLDEST_LIVE = 30 * 86_400 * SECOND
MISSING = -1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def correct_time(created: int | None, sent: int | None, received: int) -> tuple[int, TimeQuality]:
    """(occurred_at, quality) of a live event; all times in microseconds since 1970, never later than `received`.

    The client's clock may be wrong, but the time between making and sending an event is measured by that one clock, so
    occurred_at = received_at - (sent_at - created_at). Real clients also send sent_at before created_at; that counts
    as no delay.
    """
    if created is None:
        return received, TimeQuality.SERVER
    if sent is not None:
        delay = sent - created
        return (received - delay, TimeQuality.CORRECTED) if delay >= 0 else (received, TimeQuality.CLAMPED)
    return (created, TimeQuality.CLIENT) if created <= received else (received, TimeQuality.CLAMPED)


def correct_times(
    judged: Judged, *, sent_at: datetime | None, received_at: datetime, oldest: int | None = OLDEST_LIVE
) -> None:
    """Fill occurred_at and time_quality of live events; those older than `oldest` microseconds get a reason."""
    received = to_micros(received_at)
    sent = to_micros(sent_at) if sent_at else None
    times = [correct_time(created, sent, received) for created in judged.columns["created_at"]]
    judged.columns["occurred_at"] = [max(occurred, 0) for occurred, _ in times]
    judged.columns["time_quality"] = [str(quality) for _, quality in times]
    if oldest is None:
        return
    for row, (occurred, _) in enumerate(times):
        if received - occurred > oldest:
            cure = "load history with `manage.py import_events`, or let an operator replay it from the quarantine"
            judged.blame(row, "created_at", "too_old", f"lies more than 30 days back: {cure}")


def keep_times(judged: Judged, *, received_at: datetime) -> None:
    """Fill occurred_at and time_quality of history, which keeps its own time; the future is clamped to the present."""
    received = to_micros(received_at)
    columns = judged.columns
    created_at = np.array([MISSING if created is None else created for created in columns["created_at"]], np.int64)
    for row in np.flatnonzero(created_at == MISSING).tolist():
        if not judged.is_blamed(row, "created_at"):
            judged.blame(row, "created_at", "required", "is missing: history needs the time when it happened")
    is_future = created_at > received
    columns["occurred_at"] = np.minimum(created_at, received).tolist()
    columns["time_quality"] = [str(TimeQuality.HISTORICAL)] * judged.rows
    for row in np.flatnonzero(is_future).tolist():
        columns["time_quality"][row] = str(TimeQuality.CLAMPED)


def to_micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
