"""GET /api/v1/service/reports and its CSV: what became of conversations."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.csv_files import csv_response
from api.renderers import AnyContentType
from api.scenario_kpi import PeriodSerializer
from apps.service.conversations.api import READ
from apps.service.replies.settings import current_settings
from apps.service.reports.selectors import BUCKETS, CUTS, Report, report

COLUMNS = (
    *("begins", "key", "conversations", "asked", "contained", "containment", "handed_off", "answered"),
    *("first_response_p50", "first_response_p90", "accepted", "edited", "rejected", "acceptance", "edit_distance"),
    *("rated", "satisfaction", "agent_answers", "tokens", "agents_cost", "tokens_cost", "cost_per_conversation"),
)


class ServiceReportParameters(PeriodSerializer):
    bucket = serializers.ChoiceField(BUCKETS, required=False, default="day", help_text="weeks begin on Monday")
    by = serializers.ChoiceField(CUTS, required=False, help_text="cuts the rows besides")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {**super().validate(attrs), "bucket": attrs["bucket"], "by": attrs.get("by", "")}


class ServiceReportRowSerializer(serializers.Serializer):
    begins = serializers.DateField(allow_null=True, help_text="first day (UTC); null for the whole period")
    key = serializers.CharField(allow_blank=True, help_text="the channel, language, intent or variant")
    conversations = serializers.IntegerField(help_text="opened in this time")
    asked = serializers.IntegerField(help_text="in which a customer wrote")
    contained = serializers.IntegerField(help_text="whose last message the bot answered and no agent had to see")
    containment = serializers.FloatField(allow_null=True, help_text="contained / asked")
    handed_off = serializers.IntegerField()
    answered = serializers.IntegerField(help_text="by whomever")
    first_response_p50 = serializers.FloatField(allow_null=True, help_text="seconds from the customer's first message")
    first_response_p90 = serializers.FloatField(allow_null=True, help_text="seconds")
    accepted = serializers.IntegerField(help_text="drafts that were sent as they were")
    edited = serializers.IntegerField()
    rejected = serializers.IntegerField()
    acceptance = serializers.FloatField(allow_null=True, help_text="accepted / drafts that were judged")
    edit_distance = serializers.FloatField(allow_null=True, help_text="mean of the drafts that were sent, 0 to 1")
    rated = serializers.IntegerField(help_text="conversations with a rating")
    satisfaction = serializers.FloatField(allow_null=True, help_text="mean rating, 1 to 5")
    agent_answers = serializers.IntegerField(help_text="messages of agents")
    tokens = serializers.IntegerField(help_text="that language models read and wrote, as counted or reckoned")
    agents_cost = serializers.FloatField(help_text="agents' answers at minutes_per_answer and cost_agent_minute")
    tokens_cost = serializers.FloatField(help_text="at cost_per_1000_tokens")
    cost_per_conversation = serializers.FloatField(allow_null=True, help_text="of those in which a customer wrote")


class ServiceReportSerializer(serializers.Serializer):
    since = serializers.DateField()
    until = serializers.DateField()
    currency = serializers.CharField(help_text="of the costs; a setting, as their rates are")
    rows = ServiceReportRowSerializer(many=True, help_text="by day or week, and key")
    keys = ServiceReportRowSerializer(many=True, help_text="the whole period by key")
    total = ServiceReportRowSerializer()


class ServiceReportView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="get_service_report",
        tags=["conversations"],
        summary="Containment, first response, acceptance, edit distance, satisfaction and cost",
        description="Of conversations by the day or week in which they were opened, with all that has come of them "
        "until now.",
        parameters=[ServiceReportParameters],
        responses=ServiceReportSerializer,
    )
    def get(self, request: Request) -> Response:
        found, settings = _asked(request), current_settings()
        return Response(
            {
                "since": found.period.since.isoformat(),
                "until": found.period.until.isoformat(),
                "currency": settings.currency,
                "rows": [row.to_dict(settings) for row in found.rows],
                "keys": [row.to_dict(settings) for row in found.keys],
                "total": found.total.to_dict(settings),
            }
        )


class ServiceReportFileView(APIView):
    required_scopes = {"GET": READ}
    content_negotiation_class = AnyContentType

    @extend_schema(
        operation_id="export_service_report",
        tags=["conversations"],
        summary="The same rows as CSV",
        parameters=[ServiceReportParameters],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponse:
        return csv_of(_asked(request))


def csv_of(found: Report) -> HttpResponse:
    settings = current_settings()
    return csv_response([row.to_dict(settings) for row in found.rows], COLUMNS, name="service.csv")


def _asked(request: Request) -> Report:
    asked = ServiceReportParameters.of(request)
    return report(asked["period"], bucket=asked["bucket"], by=asked["by"])
