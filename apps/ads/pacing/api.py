"""GET /api/v1/ads/flights/{id}/progress: whether a flight is on the way to its budget and its goal."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.serializers import QueryParameters
from apps.ads.campaigns.api import READ, TAGS, refusals
from apps.ads.campaigns.models import Flight, GoalKind
from apps.ads.pacing.goals import progress_of
from apps.ads.pacing.selectors import spending_of


class FlightGoalSerializer(serializers.Serializer):
    goal_kind = serializers.ChoiceField(GoalKind.choices)
    goal = serializers.IntegerField()
    achieved = serializers.IntegerField()
    planned = serializers.IntegerField(help_text="what an even delivery would have by now")
    expected = serializers.IntegerField(allow_null=True, help_text="by the end, if it goes on like this")
    is_on_track = serializers.BooleanField(help_text="at least 95 % of what is planned")


class FlightProgressSerializer(serializers.Serializer):
    """Amounts in micro-units."""

    planned_micros = serializers.IntegerField(
        help_text="what an even spending of the budget, or of all daily budgets if less, would have spent by now"
    )
    spent_micros = serializers.IntegerField()
    make_good_micros = serializers.IntegerField(help_text="by how much it is behind that; made good in the time left")
    goal = FlightGoalSerializer(allow_null=True, help_text="null: it has none")


class AdFlightProgressView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="get_ad_flight_progress",
        tags=TAGS,
        summary="Whether a flight is on the way to its budget and its goal",
        responses=FlightProgressSerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:
        QueryParameters.of(request)  # there are none
        with refusals(Flight, id):
            flight = Flight.objects.get(id=id)
        goal = progress_of([id]).get(id)
        return Response(spending_of(flight) | {"goal": goal.to_dict() if goal else None})
