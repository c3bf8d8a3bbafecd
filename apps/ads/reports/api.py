"""GET /api/v1/ads/reports and its CSV, and GET /api/v1/ads/accounts."""

import re
from datetime import date, datetime, time, timedelta
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.csv_files import csv_response
from api.renderers import AnyContentType
from api.serializers import QueryParameters
from apps.ads.budgets.selectors import flight_accounts
from apps.ads.campaigns.models import Flight
from apps.ads.reports.selectors import COLUMNS, CUTS, ReportRow, filtered_traffic, report
from apps.ads.settings import current_settings

READ = "ads:read"
TAGS = ["ads"]
LONGEST = timedelta(days=366)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@extend_schema_field({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]})
class MomentField(serializers.DateTimeField):
    """A moment, or a day of the ads' time zone, which stands for its first moment, or with `ends` for its last."""

    def __init__(self, *, ends: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.ends = ends

    def to_internal_value(self, value: Any) -> datetime:
        if not DAY.fullmatch(str(value)):
            return super().to_internal_value(value)
        try:
            day = date.fromisoformat(value) + timedelta(days=self.ends)
        except ValueError:
            self.fail("invalid", format="YYYY-MM-DD, or a day and a time as in 2026-11-24T09:30:00Z")
        except OverflowError:
            self.fail("overflow")
        return datetime.combine(day, time(), tzinfo=current_settings().zone)


class AdReportParameters(QueryParameters):
    by = serializers.ChoiceField(CUTS, required=False, default="flight")
    since = MomentField(
        required=False, help_text="a moment, or a day of the ads' time zone; a week before `until` where left out"
    )
    until = MomentField(
        ends=True, required=False, help_text="a moment, not included, or a day, with all of it; now where left out"
    )
    flight_id = serializers.UUIDField(required=False)
    campaign_id = serializers.UUIDField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        until: datetime = attrs.setdefault("until", timezone.now())
        if "since" not in attrs:
            attrs["since"] = max(until, EARLIEST) - timedelta(days=7)
        if not timedelta(0) <= until - attrs["since"] <= LONGEST:
            raise serializers.ValidationError({"since": "must come before until, by at most 366 days"})
        if attrs["since"] < EARLIEST:
            raise serializers.ValidationError({"since": "must not lie before the year 2000"})
        return attrs


EARLIEST = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


class AdReportRowSerializer(serializers.Serializer):
    key = serializers.CharField(
        help_text="id, country, device, or a day or an hour of the tenant's time zone, such as 2026-10-25 02:00+01:00"
    )
    name = serializers.CharField(help_text="of what the key names")
    currency = serializers.CharField()
    placed = serializers.IntegerField()
    impressions = serializers.IntegerField()
    viewable = serializers.IntegerField()
    clicks = serializers.IntegerField()
    conversions = serializers.IntegerField()
    filtered = serializers.IntegerField(help_text="events that counted for nothing")
    unpaid = serializers.IntegerField(
        help_text="clicks and conversions that are counted beside and found less than their price left in the budget"
    )
    revenue_micros = serializers.IntegerField()
    spend_micros = serializers.IntegerField()
    ctr = serializers.FloatField(allow_null=True, help_text="clicks / impressions")
    cvr = serializers.FloatField(allow_null=True, help_text="conversions / clicks")
    cpa_micros = serializers.FloatField(allow_null=True, help_text="spend / conversions")
    roas = serializers.FloatField(allow_null=True, help_text="revenue / spend")


class AdFilteredSerializer(serializers.Serializer):
    kind = serializers.CharField(help_text="impression, viewable or click")
    reason = serializers.CharField()
    count = serializers.IntegerField()


class AdReportSerializer(serializers.Serializer):
    rows = AdReportRowSerializer(many=True)
    filtered = AdFilteredSerializer(
        many=True, help_text="traffic that counted for nothing and was not billed, by whole hours"
    )


class AdAccountSerializer(serializers.Serializer):
    flight_id = serializers.UUIDField()
    budget_micros = serializers.IntegerField()
    spent_micros = serializers.IntegerField()
    reserved_micros = serializers.IntegerField()
    billed_events = serializers.IntegerField()
    ledger_micros = serializers.IntegerField(help_text="the sum of the ledger's rows")
    problems = serializers.ListField(child=serializers.CharField(), help_text="what does not agree; empty")


class AdReportView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="get_ad_report",
        tags=TAGS,
        summary="Delivery, spend and what came of it, by flight, placement, day or another cut",
        parameters=[AdReportParameters],
        responses=AdReportSerializer,
    )
    def get(self, request: Request) -> Response:
        rows = [row.to_dict() for row in _rows(request)]
        span = AdReportParameters.of(request)
        del span["by"]
        return Response({"rows": rows, "filtered": filtered_traffic(**span)})


class AdReportFileView(APIView):
    required_scopes = {"GET": READ}
    content_negotiation_class = AnyContentType

    @extend_schema(
        operation_id="export_ad_report",
        tags=TAGS,
        summary="The same rows as CSV",
        parameters=[AdReportParameters],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponse:
        return csv_of([row.to_dict() for row in _rows(request)])


class AdAccountsView(GenericAPIView):
    required_scopes = {"GET": READ}
    serializer_class = AdAccountSerializer
    queryset = Flight.objects.only("id")

    @extend_schema(
        operation_id="list_ad_accounts",
        tags=TAGS,
        summary="A page of flights' counters beside the sums of their ledgers, newest flights first",
        responses=AdAccountSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = [flight.id for flight in self.paginate_queryset(self.get_queryset()) or ()]
        accounts = {each.flight_id: each for each in flight_accounts(page)}
        return self.get_paginated_response(self.get_serializer([accounts[each] for each in page], many=True).data)


def csv_of(rows: list[dict[str, Any]]) -> HttpResponse:
    return csv_response(rows, COLUMNS, name="ads.csv")


def _rows(request: Request) -> list[ReportRow]:
    return report(**AdReportParameters.of(request), zone=current_settings().timezone)
