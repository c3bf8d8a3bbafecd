"""What GET /api/v1/risk/monitoring answers."""

from typing import Any

from rest_framework import serializers

from apps.risk.assessments.settings import RETRAIN
from apps.risk.monitoring.comparison import Comparison, Side
from apps.risk.monitoring.counts import Counts
from apps.risk.monitoring.report import Report, Retraining

BANDS = ("steady", "watch", "drifted")


class VerdictCountsSerializer(serializers.Serializer):
    approve = serializers.IntegerField(help_text="how many were approved")
    review = serializers.IntegerField(help_text="how many are to be reviewed")
    decline = serializers.IntegerField(help_text="how many were declined")


class RiskCountsSerializer(serializers.Serializer):
    assessments = serializers.IntegerField()
    verdicts = VerdictCountsSerializer()
    alerts = serializers.IntegerField(help_text="of reviews, declines, and approved transactions that a rule tells of")
    alert_rate = serializers.FloatField(allow_null=True, help_text="alerts per assessment; null without assessments")
    degraded_share = serializers.FloatField(allow_null=True)
    capacity_used = serializers.FloatField(
        allow_null=True, help_text="reviews per review that the desk can do; null where its capacity is 0"
    )
    latency_p50_ms = serializers.FloatField(allow_null=True, help_text="to within 5 %")
    latency_p99_ms = serializers.FloatField(allow_null=True)


class RiskDaySerializer(RiskCountsSerializer):
    day = serializers.DateField()


class RiskWeekSerializer(serializers.Serializer):
    begins = serializers.DateField(help_text="Monday (UTC) of the week in which the transactions were made")
    assessments = serializers.IntegerField()
    matured = serializers.IntegerField(help_text="older than the label delay; all figures below count among these")
    open = serializers.IntegerField(help_text="younger than the label delay, so still without a verdict of the labels")
    is_mature = serializers.BooleanField(help_text="whether the whole week is older than the label delay")
    flagged = serializers.IntegerField(help_text="not approved")
    frauds = serializers.IntegerField(help_text="known to be fraud now")
    caught = serializers.IntegerField(help_text="frauds that were flagged")
    precision = serializers.FloatField(allow_null=True)
    recall = serializers.FloatField(allow_null=True)
    value_caught = serializers.FloatField(help_text="of flagged frauds, in `currency`")
    value_lost = serializers.FloatField(help_text="of approved frauds, in `currency`")


class FeatureDriftSerializer(serializers.Serializer):
    name = serializers.CharField()
    index = serializers.FloatField(help_text="population stability index")
    band = serializers.ChoiceField(BANDS, help_text="below 0.1, to 0.25, above")


class RiskDriftSerializer(serializers.Serializer):
    against = serializers.ChoiceField(
        ("training", "four weeks before"), allow_null=True, help_text="null where too little was assessed to compare"
    )
    sampled = serializers.IntegerField(help_text="assessments of the period that were read, by chance")
    reference_sampled = serializers.IntegerField(help_text="of the four weeks before")
    score = FeatureDriftSerializer(allow_null=True, help_text="of the scores themselves; null: too few to compare")
    features = FeatureDriftSerializer(many=True, help_text="the most drifted first")
    histogram = serializers.ListField(
        child=serializers.IntegerField(), help_text="of the live version's scores, 20 bins from 0 to 1"
    )
    reference_histogram = serializers.ListField(
        child=serializers.IntegerField(), help_text="of its scores in the four weeks before"
    )


class ScoreSideSerializer(serializers.Serializer):
    auc = serializers.FloatField(allow_null=True)
    average_precision = serializers.FloatField(allow_null=True)
    precision_at_capacity = serializers.FloatField(
        allow_null=True, help_text="of the highest scores, as many as the desk can review"
    )


class ComparisonSerializer(serializers.Serializer):
    version = serializers.UUIDField(help_text="id of the challenger")
    number = serializers.IntegerField()
    compared = serializers.IntegerField(help_text="assessments that both have scored")
    matured = serializers.IntegerField(help_text="of these, older than the label delay")
    frauds = serializers.IntegerField()
    agreement = serializers.FloatField(allow_null=True, help_text="share on the same side of review_above")
    score_shift = serializers.FloatField(allow_null=True, help_text="mean of challenger minus champion")
    score_index = serializers.FloatField(allow_null=True, help_text="population stability index between the two")
    champion = ScoreSideSerializer(help_text="scores of the live version")
    challenger = ScoreSideSerializer(help_text="scores of the version in the shadow")


class RetrainingRunSerializer(serializers.Serializer):
    run = serializers.UUIDField()
    status = serializers.CharField()
    created_at = serializers.DateTimeField()
    requested_by = serializers.CharField(allow_blank=True)
    version = serializers.IntegerField(allow_null=True, help_text="number of the version that it made; null: none")
    gate = serializers.ListField(child=serializers.CharField(), help_text="the gate's verdict in words")


class RetrainingSerializer(serializers.Serializer):
    schedule = serializers.ChoiceField(RETRAIN)
    next_at = serializers.DateTimeField(allow_null=True, help_text="the earliest; null where the schedule is off")
    matured_labels = serializers.IntegerField(help_text="new since the last run that succeeded, up to least_labels")
    least_labels = serializers.IntegerField(help_text="that a run waits for")
    runs = RetrainingRunSerializer(many=True, help_text="the newest first")


class RiskMonitoringSerializer(serializers.Serializer):
    since = serializers.DateField()
    until = serializers.DateField()
    counted_until = serializers.DateTimeField(allow_null=True, help_text="later assessments are not in total and days")
    currency = serializers.CharField()
    label_delay_days = serializers.FloatField()
    daily_capacity = serializers.IntegerField()
    live_version = serializers.IntegerField(allow_null=True, help_text="its number")
    total = RiskCountsSerializer()
    days = RiskDaySerializer(many=True)
    weeks = RiskWeekSerializer(many=True, help_text="the oldest first")
    drift = RiskDriftSerializer()
    challenger = ComparisonSerializer(allow_null=True, help_text="null where no version stands beside the live one")
    retraining = RetrainingSerializer()


def present(report: Report) -> dict[str, Any]:
    capacity = report.settings.daily_capacity
    return {
        "since": report.period.since,
        "until": report.period.until,
        "counted_until": report.counted_until,
        "currency": report.settings.currency,
        "label_delay_days": report.settings.label_delay_days,
        "daily_capacity": capacity,
        "live_version": report.live.number if report.live else None,
        "total": _counts(report.total, capacity, len(report.days)),
        "days": [_counts(counts, capacity, 1) | {"day": day} for day, counts in report.days.items()],
        "weeks": report.weeks,
        "drift": report.drift,
        "challenger": _comparison(report.comparison) if report.comparison else None,
        "retraining": _retraining(report.retraining),
    }


def _counts(counts: Counts, capacity: int, days: int) -> dict[str, Any]:
    return {
        "assessments": counts.assessments,
        "verdicts": counts.verdicts,
        "alerts": counts.alerts,
        "alert_rate": counts.alert_rate,
        "degraded_share": counts.degraded_share,
        "capacity_used": counts.capacity_used(capacity, days),
        "latency_p50_ms": counts.figures.latency_p50_ms,
        "latency_p99_ms": counts.figures.latency_p99_ms,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return vars(comparison) | {
        "version": comparison.challenger.id,
        "number": comparison.challenger.number,
        "champion": _side(comparison.champion_side),
        "challenger": _side(comparison.challenger_side),
    }


def _side(side: Side) -> dict[str, Any]:
    return vars(side)


def _retraining(retraining: Retraining) -> dict[str, Any]:
    runs = []
    for run in retraining.runs:
        version = retraining.versions.get(run.id)
        runs.append(
            {
                "run": run.id,
                "status": run.status,
                "created_at": run.created_at,
                "requested_by": run.requested_by,
                "version": version.number if version else None,
                "gate": version.reasons if version else [],
            }
        )
    return vars(retraining) | {"runs": runs}
