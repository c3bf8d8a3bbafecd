"""GET and PATCH /api/v1/risk/settings: how the desk decides."""

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import CONTENT_TYPE, Unprocessable
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from api.schema import ProblemSerializer
from api.serializers import QueryParameters, StrictSerializer
from apps.risk.assessments.settings import (
    LEAST_RATE,
    MOST_RATE,
    MOST_TYPES,
    change_settings,
    current_settings,
)
from apps.risk.assessments.thresholds import TooFewAssessments, suggest_thresholds
from apps.risk.engine import NEVER
from serving.schedules import RETRAIN

TYPE = "^[a-z][a-z0-9_.-]{0,63}$"


class RiskSettingsSerializer(StrictSerializer):
    review_above = serializers.FloatField(
        min_value=0, max_value=NEVER, help_text="probability of fraud from which on; above 1, such as 2, for never"
    )
    decline_above = serializers.FloatField(
        min_value=0, max_value=NEVER, help_text="not below review_above; above 1, such as 2, for never"
    )
    label_delay_days = serializers.FloatField(min_value=0, max_value=365, help_text="until a fraud is usually known")
    cost_fraud_share = serializers.FloatField(min_value=0, max_value=100, help_text="of its amount, when it passes")
    review_anomaly_above = serializers.FloatField(
        min_value=0,
        max_value=1,
        help_text="share that is less unusual, where no model of frauds is live",
    )
    cost_review = serializers.FloatField(min_value=0, max_value=1e6, help_text="of one review")
    cost_wrong_decline = serializers.FloatField(min_value=0, max_value=1e6, help_text="of declining a genuine one")
    review_catch_share = serializers.FloatField(min_value=0, max_value=1, help_text="of frauds, seen by a review")
    daily_capacity = serializers.IntegerField(min_value=0, max_value=1_000_000, help_text="reviews a day")
    event_types = serializers.ListField(
        child=serializers.RegexField(TYPE), max_length=MOST_TYPES, help_text="events of the log that are transactions"
    )
    currency = serializers.RegexField("^[A-Z]{3}$", help_text="of costs, sums and rules, and of events that name none")
    exchange_rates = serializers.DictField(
        child=serializers.FloatField(min_value=LEAST_RATE, max_value=MOST_RATE),
        help_text="what one unit of another currency is worth in `currency`; counts for what is stored from then on",
    )
    shadow_share = serializers.FloatField(min_value=0, max_value=1, help_text="of assessments asked of a challenger")
    challenger_version = serializers.IntegerField(
        min_value=0, max_value=1_000_000, help_text="number of the version; 0 for the newest candidate"
    )
    retrain = serializers.ChoiceField(RETRAIN, help_text="how often a model is trained anew")
    retrain_least_labels = serializers.IntegerField(
        min_value=0, max_value=1_000_000, help_text="newly matured labels that a training waits for"
    )
    link_most_subjects = serializers.IntegerField(
        min_value=0,
        max_value=1_000,
        help_text="a card, device, address or counterparty that more others used ties no cases",
    )


class RiskSettingsView(IdempotentWrites):
    required_scopes = {"GET": "risk:read", "PATCH": "risk-settings:write"}

    @extend_schema(
        operation_id="get_risk_settings",
        tags=["risk"],
        summary="Thresholds, costs and capacity",
        responses=RiskSettingsSerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(current_settings().to_dict())

    @extend_schema(
        operation_id="change_risk_settings",
        tags=["risk"],
        summary="Change some of them; the change is kept with who made it",
        request=RiskSettingsSerializer(partial=True),
        responses=RiskSettingsSerializer,
        examples=[OpenApiExample("stricter", {"review_above": 0.05, "decline_above": 0.6}, request_only=True)],
    )
    def patch(self, request: Request) -> Response:
        body = RiskSettingsSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        try:
            return Response(change_settings(body.validated_data, actor=actor_of(request)).to_dict())
        except DjangoValidationError as error:
            raise ValidationError(error.message_dict) from error


class ThresholdsAskSerializer(QueryParameters):
    days = serializers.IntegerField(default=30, min_value=1, max_value=92, help_text="how far back to look")


class SuggestedThresholdsSerializer(serializers.Serializer):
    review_above = serializers.FloatField(help_text="2: review nothing but what rules ask for")
    decline_above = serializers.FloatField(help_text="2: decline nothing")
    cost_per_1000 = serializers.FloatField(help_text="expected, of 1,000 transactions")
    approve_all_cost_per_1000 = serializers.FloatField()
    reviews_a_day = serializers.FloatField()
    declines_a_day = serializers.FloatField()
    alerts_a_day = serializers.FloatField()
    is_held_by_capacity = serializers.BooleanField(help_text="a larger desk would cost less")


class CurrentThresholdsSerializer(serializers.Serializer):
    review_above = serializers.FloatField()
    decline_above = serializers.FloatField()
    cost_per_1000 = serializers.FloatField(help_text="expected, of 1,000 transactions")
    reviews_a_day = serializers.FloatField()
    declines_a_day = serializers.FloatField()
    alerts_a_day = serializers.FloatField()


class ThresholdPointSerializer(serializers.Serializer):
    threshold = serializers.FloatField()
    precision = serializers.FloatField()
    recall = serializers.FloatField()
    alerts_a_day = serializers.FloatField()
    cost_per_1000 = serializers.FloatField()


class ThresholdsSerializer(serializers.Serializer):
    assessments = serializers.IntegerField()
    suggested = SuggestedThresholdsSerializer()
    current = CurrentThresholdsSerializer()
    curve = ThresholdPointSerializer(
        many=True,
        help_text="if all from `threshold` on that no rule approves, and what rules ask for, were reviewed and none "
        "declined",
    )


TOO_FEW = OpenApiResponse(
    ProblemSerializer, description="Too few assessments by a model to tell thresholds from chance"
)


class ThresholdsView(APIView):
    required_scopes = {"GET": "risk:read"}

    @extend_schema(
        operation_id="suggest_risk_thresholds",
        tags=["risk"],
        summary="Thresholds that the costs and the desk's capacity ask for",
        description="From the probabilities of what was assessed of late. Days are those of the transactions, so "
        "a week that was replayed within minutes is a week. Reviews that rules ask for take of the capacity; what "
        "rules decline is left out, and what they approve counts as genuine. PATCH risk/settings puts them in force.",
        parameters=[ThresholdsAskSerializer],
        responses={200: ThresholdsSerializer, (422, CONTENT_TYPE): TOO_FEW},
    )
    def get(self, request: Request) -> Response:
        try:
            return Response(suggest_thresholds(current_settings(), **ThresholdsAskSerializer.of(request)))
        except TooFewAssessments as error:
            raise Unprocessable(str(error)) from error
