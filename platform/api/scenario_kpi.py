"""GET /api/v1/scenarios/{key}/kpi: what came of a scenario's lists."""

from datetime import UTC, date, timedelta
from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.serializers import QueryParameters
from decisions.kpi import MOST_DAYS, Coverage, Figures, Kpi, Period, scenario_kpi
from decisions.selectors import scenarios

DEFAULT_DAYS = 7
ATTRIBUTION = "the decision that the event names"
EARLIEST = date(2000, 1, 1)


class PeriodSerializer(QueryParameters):
    since = serializers.DateField(required=False, help_text="First day (UTC); a week up to `until` when left out.")
    until = serializers.DateField(required=False, help_text="Last day (UTC), with all of it; today when left out.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        until = attrs.get("until") or timezone.now().astimezone(UTC).date()
        for name, day in (("until", until), ("since", attrs.get("since"))):
            if day is not None and not EARLIEST <= day <= timezone.now().astimezone(UTC).date() + timedelta(days=1):
                raise serializers.ValidationError({name: f"must lie between {EARLIEST} and today"})
        since = attrs.get("since") or until - timedelta(days=DEFAULT_DAYS - 1)
        if since > until:
            raise serializers.ValidationError({"since": f"is later than the last day, {until}"})
        if (until - since).days >= MOST_DAYS:
            raise serializers.ValidationError({"since": f"is more than {MOST_DAYS} days before the last day, {until}"})
        return {"period": Period(since, until)}


class EstimateSerializer(serializers.Serializer):
    value = serializers.FloatField(help_text="the rate itself")
    low = serializers.FloatField(help_text="lower end of the 95 % interval")
    high = serializers.FloatField()


class FiguresSerializer(serializers.Serializer):
    """Rates are of lists; null where there are none."""

    lists = serializers.IntegerField(help_text="lists served")
    items = serializers.IntegerField(help_text="items in them")
    seen = serializers.IntegerField(help_text="items with an impression; 0 where the client sends none")
    clicked = serializers.IntegerField(help_text="items clicked or viewed from their list")
    carted = serializers.IntegerField(help_text="items put into the cart")
    bought = serializers.IntegerField(help_text="items bought")
    revenue = serializers.FloatField()
    click_rate = EstimateSerializer(allow_null=True, help_text="lists with a click")
    cart_rate = EstimateSerializer(allow_null=True, help_text="lists with an item put into the cart")
    conversion_rate = EstimateSerializer(allow_null=True, help_text="lists with a purchase")
    degraded_rate = EstimateSerializer(allow_null=True, help_text="lists that something stood in for")
    revenue_per_1000 = EstimateSerializer(allow_null=True, help_text="revenue of a thousand lists")
    latency_p50_ms = serializers.FloatField(allow_null=True, help_text="to within 5 %")
    latency_p95_ms = serializers.FloatField(allow_null=True)


class DayFiguresSerializer(FiguresSerializer):
    day = serializers.DateField()


class PeriodFiguresSerializer(FiguresSerializer):
    coverage = serializers.FloatField(
        allow_null=True, help_text="share of the catalogue, as it can be shown now, that was in a list"
    )


class ScenarioKpiSerializer(serializers.Serializer):
    """What came of a scenario's lists, beside the period of the same length before."""

    scenario = serializers.CharField()
    since = serializers.DateField()
    until = serializers.DateField()
    counted_until = serializers.DateTimeField(
        allow_null=True, help_text="lists decided later are not counted yet; null before the first count"
    )
    attribution = serializers.CharField(help_text="which list an event counts for")
    click_window_minutes = serializers.FloatField(help_text="how long impressions and clicks count")
    purchase_window_days = serializers.FloatField(help_text="how long carts and purchases count")
    currency = serializers.CharField(allow_null=True, help_text="of revenue: the one of most purchases")
    lists_bought_in_other_currencies = serializers.IntegerField(help_text="their revenue is left out")
    total = PeriodFiguresSerializer()
    before = PeriodFiguresSerializer(help_text="the same number of days just before")
    days = DayFiguresSerializer(many=True)


EXAMPLE_FIGURES = {
    "lists": 1840,
    "items": 22080,
    "seen": 15210,
    "clicked": 402,
    "carted": 61,
    "bought": 24,
    "revenue": 1310.5,
    "click_rate": {"value": 0.1984, "low": 0.1808, "high": 0.2172},
    "cart_rate": {"value": 0.0326, "low": 0.0254, "high": 0.0418},
    "conversion_rate": {"value": 0.0125, "low": 0.0083, "high": 0.0187},
    "degraded_rate": {"value": 0.0, "low": 0.0, "high": 0.0021},
    "revenue_per_1000": {"value": 712.2, "low": 401.9, "high": 1022.6},
    "latency_p50_ms": 7.4,
    "latency_p95_ms": 13.1,
}
EXAMPLE = OpenApiExample(
    "A day of the home page",
    value={
        "scenario": "home",
        "since": "2026-11-24",
        "until": "2026-11-24",
        "counted_until": "2026-11-25T09:30:12Z",
        "attribution": ATTRIBUTION,
        "click_window_minutes": 30.0,
        "purchase_window_days": 7.0,
        "currency": "EUR",
        "lists_bought_in_other_currencies": 0,
        "total": EXAMPLE_FIGURES | {"coverage": 0.61},
        "before": EXAMPLE_FIGURES | {"coverage": 0.58},
        "days": [EXAMPLE_FIGURES | {"day": "2026-11-24"}],
    },
    response_only=True,
)


class ScenarioKpiView(APIView):
    required_scopes = {"GET": "decisions:read"}

    @extend_schema(
        operation_id="get_scenario_kpi",
        tags=["decisions"],
        summary="Read the KPI of a scenario",
        parameters=[PeriodSerializer],
        responses=ScenarioKpiSerializer,
        examples=[EXAMPLE],
    )
    def get(self, request: Request, key: str) -> Response:
        if not scenarios().filter(key=key).exists():
            raise Http404(f"there is no scenario '{key}'")
        return Response(ScenarioKpiSerializer(present(scenario_kpi(key, PeriodSerializer.of(request)["period"]))).data)


def present(kpi: Kpi) -> dict[str, Any]:
    return {
        "scenario": kpi.scenario,
        "since": kpi.period.since,
        "until": kpi.period.until,
        "counted_until": kpi.counted_until,
        "attribution": ATTRIBUTION,
        "click_window_minutes": kpi.windows.click.total_seconds() / 60,
        "purchase_window_days": kpi.windows.purchase.total_seconds() / 86_400,
        "currency": kpi.currency,
        "lists_bought_in_other_currencies": kpi.total.other_currency,
        "total": _figures(kpi.total) | _coverage(kpi.coverage),
        "before": _figures(kpi.before) | _coverage(kpi.coverage_before),
        "days": [_figures(figures) | {"day": day} for day, figures in kpi.days.items()],
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {name: getattr(figures, name) for name in FiguresSerializer().get_fields()}


def _coverage(coverage: Coverage) -> dict[str, float | None]:
    return {"coverage": coverage.share}
