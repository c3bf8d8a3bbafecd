"""All figures of the risk desk over a period, as the API and the console show them."""

from dataclasses import dataclass
from datetime import date, datetime

from django.utils import timezone

from apps.risk.assessments.settings import MODEL, RiskSettings, current_settings
from apps.risk.monitoring.challengers import find_challenger
from apps.risk.monitoring.comparison import Comparison, compare
from apps.risk.monitoring.counts import Counts, counts_by_day, total_of
from apps.risk.monitoring.drift import Drift, drift_of
from apps.risk.monitoring.retraining import newly_matured_labels
from apps.risk.monitoring.selectors import Week, weeks
from decisions.counting import counted_until
from decisions.kpi import Period
from serving.models import ModelVersion, TrainingRun
from serving.schedules import last_learned, next_run_at
from serving.selectors import find_deployment, training_runs

RUNS_SHOWN = 5


@dataclass(frozen=True)
class Retraining:
    """`matured_labels` are new since the last run that succeeded, counted up to `least_labels`."""

    schedule: str
    next_at: datetime | None
    matured_labels: int
    least_labels: int
    runs: list[TrainingRun]
    versions: dict[object, ModelVersion]


@dataclass(frozen=True)
class Report:
    """`days` has an entry for each day; they are counted up to `counted_until`, all else is read as it is now."""

    period: Period
    settings: RiskSettings
    counted_until: datetime | None
    live: ModelVersion | None
    total: Counts
    days: dict[date, Counts]
    weeks: list[Week]
    drift: Drift
    comparison: Comparison | None
    retraining: Retraining


def report(period: Period) -> Report:
    """The number of queries depends neither on the period nor on how much was assessed."""
    now, settings, deployment = timezone.now(), current_settings(), find_deployment(MODEL)
    live = deployment.live_version if deployment else None
    days = counts_by_day(period)
    total = total_of(days)
    challenger = find_challenger(settings)
    return Report(
        period=period,
        settings=settings,
        counted_until=counted_until(),
        live=live,
        total=total,
        days=days,
        weeks=weeks(period, label_delay_days=settings.label_delay_days, currency=settings.currency, now=now),
        drift=drift_of(period, deployment),
        comparison=compare(live, challenger, period, settings, total, now=now) if challenger else None,
        retraining=_retraining(settings, now),
    )


def _retraining(settings: RiskSettings, now: datetime) -> Retraining:
    runs = list(training_runs(MODEL)[:RUNS_SHOWN])
    versions = ModelVersion.objects.filter(run__in=[run.id for run in runs])
    return Retraining(
        schedule=settings.retrain,
        next_at=next_run_at(settings.retrain, runs[0] if runs else None),
        matured_labels=newly_matured_labels(settings, last_learned(MODEL), now=now),
        least_labels=settings.retrain_least_labels,
        runs=runs,
        versions={version.run_id: version for version in versions},
    )
