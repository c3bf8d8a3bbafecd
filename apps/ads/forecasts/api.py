"""GET /api/v1/ads/flights/{id}/forecast: what a flight would get."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.serializers import QueryParameters
from apps.ads.campaigns.api import READ, TAGS, refusals
from apps.ads.campaigns.models import Flight
from apps.ads.forecasts.replay import BIDS, flight_of, forecast


class AdOutlookSerializer(serializers.Serializer):
    bid_micros = serializers.IntegerField()
    impressions = serializers.IntegerField()
    clicks = serializers.IntegerField()
    conversions = serializers.IntegerField()
    spend_micros = serializers.IntegerField()
    won_share = serializers.FloatField(help_text="of the auctions that it may take part in")
    limited_by = serializers.CharField(allow_null=True, help_text="budget, daily_budget or cap")


class AdForecastSerializer(serializers.Serializer):
    days = serializers.FloatField(help_text="from now, or its start, until its end")
    requests = serializers.IntegerField(help_text="of the last week, all placements, without those of programs")
    matching = serializers.IntegerField(help_text="of these, the ones that the flight may compete for")
    lost = serializers.DictField(child=serializers.IntegerField(), help_text="why it may not for the others")
    outlooks = AdOutlookSerializer(many=True, help_text=f"for {', '.join(f'{each:g}' for each in BIDS)} times its bid")


class AdForecastView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="forecast_ad_flight",
        tags=TAGS,
        summary="What a flight would get until its end, with its bid and others",
        description="A sample of the last week's requests is played again with the flight in their auctions, against "
        "the scores that won then. Pacing is left out, and so is what others would do about it.",
        responses=AdForecastSerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:
        QueryParameters.of(request)  # there are none
        with refusals(Flight, id):
            flight = flight_of(id)
        return Response(forecast(flight).to_dict())
