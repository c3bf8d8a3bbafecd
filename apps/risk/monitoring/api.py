"""GET /api/v1/risk/monitoring: how the desk and its models do."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.scenario_kpi import PeriodSerializer
from apps.risk.monitoring.report import report
from apps.risk.monitoring.serializers import RiskMonitoringSerializer, present

COUNTS = {
    "assessments": 9800,
    "verdicts": {"approve": 9702, "review": 83, "decline": 15},
    "alerts": 98,
    "alert_rate": 0.01,
    "degraded_share": 0.0,
    "capacity_used": 0.83,
    "latency_p50_ms": 9.1,
    "latency_p99_ms": 24.7,
}
SCORE_BINS = [9600, 60, 30, 15, 10] + [5] * 15
EXAMPLE = OpenApiExample(
    "a day of a desk of 100 reviews",
    value={
        "since": "2026-11-24",
        "until": "2026-11-24",
        "counted_until": "2026-11-25T09:30:12Z",
        "currency": "EUR",
        "label_delay_days": 7.0,
        "daily_capacity": 100,
        "live_version": 4,
        "total": COUNTS,
        "days": [COUNTS | {"day": "2026-11-24"}],
        "weeks": [
            {
                "begins": "2026-11-23",
                "assessments": 9800,
                "matured": 0,
                "open": 9800,
                "is_mature": False,
                "flagged": 0,
                "frauds": 0,
                "caught": 0,
                "precision": None,
                "recall": None,
                "value_caught": 0.0,
                "value_lost": 0.0,
            }
        ],
        "drift": {
            "against": "four weeks before",
            "sampled": 4000,
            "reference_sampled": 4000,
            "score": {"name": "score", "index": 0.03, "band": "steady"},
            "features": [{"name": "device_count_7d", "index": 0.14, "band": "watch"}],
            "histogram": SCORE_BINS,
            "reference_histogram": SCORE_BINS,
        },
        "challenger": None,
        "retraining": {
            "schedule": "weekly",
            "next_at": "2026-11-30T02:00:00Z",
            "matured_labels": 41,
            "least_labels": 100,
            "runs": [],
        },
    },
    response_only=True,
)


class MonitoringView(APIView):
    required_scopes = {"GET": "risk:read"}

    @extend_schema(
        operation_id="get_risk_monitoring",
        tags=["risk"],
        summary="Read how the desk and its models do",
        description="Counts by day, rightness by week as labels mature, drift of scores and features, the challenger "
        "beside the live version, and the schedule of training.",
        parameters=[PeriodSerializer],
        responses=RiskMonitoringSerializer,
        examples=[EXAMPLE],
    )
    def get(self, request: Request) -> Response:
        return Response(RiskMonitoringSerializer(present(report(PeriodSerializer.of(request)["period"]))).data)
