"""How the page of reports shows its figures: tables in words, and charts."""

from datetime import UTC, timedelta
from typing import Any

from django.utils import timezone

from apps.service.replies.settings import ServiceSettings, current_settings
from apps.service.reports.selectors import CUTS, Report, Row, report
from console.charts import chart_data, chart_options
from console.figures import percent
from decisions.kpi import Period

RANGES = {"7": "A week", "30": "A month", "90": "Three months"}
DEFAULT_RANGE = "30"
# From so many days on a bar is a week.
WEEKS_FROM = 60
NOT_CUT = "all"


def report_for_page(by: str | None, days: str | None) -> Report:
    chosen = int(days if days in RANGES else DEFAULT_RANGE)
    today = timezone.now().astimezone(UTC).date()
    period = Period(today - timedelta(days=chosen - 1), today)
    return report(period, bucket="week" if chosen >= WEEKS_FROM else "day", by=by if by in CUTS else "")


def report_context(by: str | None, days: str | None) -> dict[str, Any]:
    settings, found = current_settings(), report_for_page(by, days)
    rows = found.keys if by in CUTS else found.rows[::-1]
    return {
        "report": found,
        "by": by if by in CUTS else NOT_CUT,
        "cuts": [NOT_CUT, *CUTS],
        "days": days if days in RANGES else DEFAULT_RANGE,
        "ranges": RANGES,
        "currency": settings.currency,
        "total": _shown(found.total, settings),
        "rows": [_shown(row, settings) for row in rows],
        "charts": _charts(found, settings) if found.total.figures.conversations and by not in CUTS else [],
    }


def _shown(row: Row, settings: ServiceSettings) -> dict[str, Any]:
    figures, values = row.figures, row.to_dict(settings)
    return {
        "name": row.key or (row.begins.isoformat() if row.begins else "All"),
        "figures": figures,
        "containment": percent(figures.containment, 1),
        "first_response": minutes(figures.first_response_p50),
        "late_response": minutes(figures.first_response_p90),
        "acceptance": percent(figures.acceptance, 1),
        "edit_distance": percent(figures.edit_distance, 1),
        "satisfaction": "—" if figures.satisfaction is None else f"{figures.satisfaction:.2f}",
        "cost": f"{values['agents_cost'] + values['tokens_cost']:,.2f}",
        "cost_each": "—" if values["cost_per_conversation"] is None else f"{values['cost_per_conversation']:,.2f}",
    }


def _charts(found: Report, settings: ServiceSettings) -> list[dict[str, str]]:
    labels = [row.begins.strftime("%d %b") if row.begins else "" for row in found.rows]
    figures = [row.figures for row in found.rows]
    rates = {
        "contained": [_times(each.containment, 100) for each in figures],
        "accepted": [_times(each.acceptance, 100) for each in figures],
        "changed by agents": [_times(each.edit_distance, 100) for each in figures],
    }
    responses = {
        "half within": [_times(each.first_response_p50, 1 / 60) for each in figures],
        "nine of ten within": [_times(each.first_response_p90, 1 / 60) for each in figures],
    }
    costs = {
        "agents": [round(each.agents_cost(settings), 2) for each in figures],
        "language models": [round(each.tokens_cost(settings), 2) for each in figures],
    }
    return [
        _chart("Containment, acceptance and edits", "line", labels, rates, "%"),
        _chart("First response", "line", labels, responses, "minutes"),
        _chart("Satisfaction", "line", labels, {"mean rating": [each.satisfaction for each in figures]}, "1 to 5"),
        _chart("Cost", "bar", labels, costs, settings.currency),
    ]


def _chart(title: str, kind: str, labels: list[str], series: dict[str, Any], unit: str) -> dict[str, str]:
    options = chart_options(x="UTC", y=unit, legend=len(series) > 1, stacked=kind == "bar")
    return {"title": title, "type": kind, "data": chart_data(labels, series), "options": options}


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else round(factor * value, 3)


def minutes(seconds: float | None) -> str:
    return "—" if seconds is None else f"{seconds / 60:,.1f} min"
