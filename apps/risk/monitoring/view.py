"""How the page of monitoring shows its report: figures, charts, and tables in words."""

from datetime import UTC, timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from apps.risk.engine import describe_features
from apps.risk.monitoring.drift import HISTOGRAM_BINS, FeatureDrift
from apps.risk.monitoring.report import Report, report
from apps.risk.monitoring.selectors import Week
from console.charts import chart_data, chart_options
from console.figures import percent
from decisions.kpi import Period

RANGES = {"7": "A week", "30": "A month", "90": "Three months"}
DEFAULT_RANGE = "30"
FEATURES_SHOWN = 15
BANDS = {
    "steady": ("success", "steady"),
    "watch": ("warning", "watch it"),
    "drifted": ("danger", "drifted: train anew, or find out why"),
}


def monitoring_context(chosen: str | None) -> dict[str, Any]:
    days = chosen if chosen in RANGES else DEFAULT_RANGE
    today = timezone.now().astimezone(UTC).date()
    found = report(Period(today - timedelta(days=int(days) - 1), today))
    return {
        "report": found,
        "ranges": RANGES,
        "days": days,
        "figures": _figures(found),
        "charts": _charts(found) if found.total.assessments else [],
        "weeks": [_week(week) for week in found.weeks],
        "score_drift": _drift(found.drift.score) if found.drift.score else None,
        "drifts": [_drift(each) for each in found.drift.features[:FEATURES_SHOWN]],
        "comparison": _comparison(found),
        "runs": _runs(found),
    }


def _figures(found: Report) -> list[tuple[str, str, str]]:
    total = found.total
    used = total.capacity_used(found.settings.daily_capacity, len(found.days))
    shares = [
        (f"Verdict {verdict}", "", percent(count / total.assessments if total.assessments else None))
        for verdict, count in total.verdicts.items()
    ]
    return [
        ("Assessments", "", f"{total.assessments:,}"),
        *shares,
        ("Alert rate", f"{total.alerts:,} alerts", percent(total.alert_rate)),
        ("Capacity used", f"of {found.settings.daily_capacity:,} reviews a day", percent(used)),
        ("Degraded", "answered without the live version", percent(total.degraded_share)),
        ("Latency, median", "to decide", _milliseconds(total.figures.latency_p50_ms)),
        ("Latency, 99 % below", "to decide", _milliseconds(total.figures.latency_p99_ms)),
    ]


def _charts(found: Report) -> list[dict[str, str]]:
    labels = [day.strftime("%d %b") for day in found.days]
    counts = list(found.days.values())
    capacity = [found.settings.daily_capacity] * len(counts)
    alerts = {"alerts": [each.alerts for each in counts]}
    rates = [None if each.alert_rate is None else round(100 * each.alert_rate, 3) for each in counts]
    bins = [f"{number / HISTOGRAM_BINS:.2f}" for number in range(HISTOGRAM_BINS)]
    histograms = {
        "this period": _shares(found.drift.histogram),
        "four weeks before": _shares(found.drift.reference_histogram),
    }
    return [
        {
            "title": "Assessments by day",
            "type": "bar",
            "data": chart_data(labels, {"assessments": [each.assessments for each in counts]}),
            "options": chart_options(x="UTC", y="assessments", legend=False),
        },
        {
            "title": "Alert rate by day",
            "type": "line",
            "data": chart_data(labels, {"alerts": rates}),
            "options": chart_options(x="UTC", y="% of assessments", legend=False),
        },
        {
            "title": "Alerts by day, and what the desk can review",
            "type": "bar",
            "data": chart_data(labels, alerts | {"capacity": capacity}, lines=["capacity"]),
            "options": chart_options(x="UTC", y="alerts", legend=True),
        },
        {
            "title": "Scores",
            "type": "bar",
            "data": chart_data(bins, histograms),
            "options": chart_options(x="score, from", y="% of the sample", legend=True),
        },
    ]


def _shares(counts: list[int]) -> list[float | None]:
    return [round(100 * count / sum(counts), 3) if sum(counts) else None for count in counts]


def _week(week: Week) -> dict[str, Any]:
    return {
        "week": week,
        "precision": percent(week.precision),
        "recall": percent(week.recall),
        "status": "mature" if week.is_mature else f"{week.open:,} of {week.assessments:,} are still open",
    }


def _drift(drift: FeatureDrift) -> dict[str, Any]:
    colour, words = BANDS[drift.band]
    description = describe_features().get(drift.name, "the score")
    return {"drift": drift, "colour": colour, "words": words, "description": description}


def _comparison(found: Report) -> dict[str, Any] | None:
    if found.comparison is None:
        return None
    compared = found.comparison
    ours, theirs = compared.champion_side, compared.challenger_side
    return {
        "challenger": compared.challenger,
        "address": reverse("admin:serving_modelversion_change", args=[compared.challenger.pk]),
        "counts": compared,
        "agreement": percent(compared.agreement),
        "shift": _number(compared.score_shift, "{:+.4f}"),
        "index": _number(compared.score_index),
        "rows": [
            ("Area under ROC", _number(ours.auc), _number(theirs.auc)),
            ("Average precision", _number(ours.average_precision), _number(theirs.average_precision)),
            ("Precision at capacity", percent(ours.precision_at_capacity), percent(theirs.precision_at_capacity)),
        ],
    }


def _runs(found: Report) -> list[dict[str, Any]]:
    return [
        {
            "run": run,
            "address": reverse("admin:serving_trainingrun_change", args=[run.pk]),
            "version": found.retraining.versions.get(run.id),
        }
        for run in found.retraining.runs
    ]


def _milliseconds(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f} ms"


def _number(value: float | None, form: str = "{:.4f}") -> str:
    return "—" if value is None else form.format(value)
