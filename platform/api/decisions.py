"""GET /api/v1/decisions/{id}: an answer that was given, what stood behind it, and what came of it."""

from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from decisions.models import Decision
from decisions.selectors import decision_with_outcomes


class OutcomeSerializer(serializers.Serializer):
    event_id = serializers.UUIDField()
    type = serializers.CharField()
    item_id = serializers.CharField(allow_null=True)
    value = serializers.FloatField(allow_null=True)
    occurred_at = serializers.DateTimeField()


class DecidedItemSerializer(serializers.Serializer):
    id = serializers.CharField()
    rank = serializers.IntegerField(help_text="from 1")
    score = serializers.FloatField(required=False)
    propensity = serializers.FloatField(
        required=False, help_text="chance of this item at this rank, given the ones above it"
    )
    reasons = serializers.JSONField(required=False)
    rules = serializers.ListField(child=serializers.CharField(), required=False)
    parts = serializers.DictField(
        child=serializers.FloatField(), required=False, help_text="what the score is made of, by name"
    )
    outcomes = serializers.ListField(child=serializers.CharField(), help_text="types of the events that followed on it")


class DecisionSerializer(serializers.Serializer):
    decision_id = serializers.UUIDField(source="decision.decision_id")
    decided_at = serializers.DateTimeField(source="decision.decided_at")
    application = serializers.CharField(source="decision.application")
    scenario = serializers.CharField(source="decision.scenario")
    model_version = serializers.UUIDField(source="decision.model_version", allow_null=True)
    policy = serializers.CharField(source="decision.policy")
    variant = serializers.CharField(source="decision.variant", allow_null=True)
    degraded = serializers.CharField(source="decision.degraded", allow_null=True)
    latency_ms = serializers.FloatField(source="decision.latency_ms")
    request = serializers.JSONField(source="decision.request")
    items = DecidedItemSerializer(many=True)
    outcomes = OutcomeSerializer(many=True)


class DecisionView(APIView):
    required_scopes = {"GET": "decisions:read"}

    @extend_schema(
        operation_id="get_decision", summary="Read a decision", responses=DecisionSerializer, tags=["decisions"]
    )
    def get(self, request: Request, id: UUID) -> Response:
        try:
            found = decision_with_outcomes(id)
        except Decision.DoesNotExist:
            raise Http404(f"no decision {id}") from None
        return Response(DecisionSerializer(found).data)
