"""What the dashboard shows: aggregates only, so that it opens at once however long the log is."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from console.charts import chart_data, chart_options
from console.selectors import (
    event_volume,
    newest_answers,
    newest_decisions,
    newest_event,
    newest_runs,
    open_quarantine,
    quality,
)
from console.training_view import percent_done, stage_in_words
from serving.models import ACTIVE_STATUSES, TrainingRun

RANGES = {"2": "Two days", "7": "A week", "30": "A month", "90": "Three months"}
DEFAULT_RANGE = "30"
STATUS_TYPES = {"queued": "", "running": "info", "succeeded": "success", "failed": "danger", "cancelled": "warning"}
FIRST_EVENT = """curl {api}/api/v1/events \\
  -H "Authorization: Bearer sk_..." -H "Content-Type: application/json" \\
  -d '{{"message_id": "first-1", "type": "view", "item_id": "sku-1", "subject": {{"anonymous_id": "me"}}}}'"""


def dashboard_context(request: HttpRequest) -> dict[str, Any]:
    chosen = request.GET.get("days", DEFAULT_RANGE)
    days = int(chosen if chosen in RANGES else DEFAULT_RANGE)
    newest = newest_event()
    return {
        "ranges": RANGES,
        "days": str(days),
        "newest_event": newest,
        "first_event": FIRST_EVENT.format(api=settings.API_URL) if newest is None else "",
        **_volume(days),
        "answers": newest_answers(),
        "decisions": newest_decisions(),
        "quarantine": open_quarantine(),
        "quality": quality(),
        "runs": _runs(newest_runs()),
    }


def _volume(days: int) -> dict[str, Any]:
    volume = event_volume(days=days)
    form = "%d %b %H:00" if days <= 2 else "%d %b"
    labels = [moment.strftime(form) for moment in volume.moments]
    return {
        "volume_total": volume.total,
        "volume": {
            "title": "Events by type",
            "data": chart_data(labels, volume.by_type),
            "options": chart_options(x="UTC", y="events", legend=True, stacked=True),
        },
    }


def _runs(runs: Iterable[TrainingRun]) -> list[dict[str, Any]]:
    return [
        {
            "run": run,
            "type": STATUS_TYPES[run.status],
            "active": run.status in ACTIVE_STATUSES,
            "percent": percent_done(run),
            "stage": stage_in_words(run),
            "best_baseline": max((run.report or {}).get("baselines", {}).values(), default=None),
        }
        for run in runs
    ]
