"""GET /api/v1/decisions/{id}/explanation: the scores of a list that was served, taken apart."""

from typing import Any, Literal
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.serializers import QueryParameters
from apps.recommendation.engine import ATTRIBUTIONS, FAITHFUL_ATTRIBUTION, LIST_ATTRIBUTION
from apps.recommendation.explanations.services import explain_decision
from apps.recommendation.scenarios import APPLICATION
from apps.recommendation.serializers import (
    EventWeightSerializer,
    MemberSerializer,
    ReadEventSerializer,
    RecommendationReasonSerializer,
    present,
)
from apps.recommendation.services import Recommendation
from behavior.subjects import Subject
from decisions.models import Decision
from decisions.selectors import get_decision


class AttributionSerializer(QueryParameters):
    attribution = serializers.ChoiceField(
        ATTRIBUTIONS,
        required=False,
        default=FAITHFUL_ATTRIBUTION,
        help_text="How the network's part is shared among the events. integrated_gradients follows each event through "
        "the encoder and takes a moment; content is what lists go by; attention is the same for all items.",
    )


class ExplainedItemSerializer(serializers.Serializer):
    id = serializers.CharField()
    title = serializers.CharField(allow_blank=True)
    rank = serializers.IntegerField()
    score = serializers.FloatField(help_text="As it was served.")
    replayed_score = serializers.FloatField(
        allow_null=True, help_text="As the model gives it now; null where the item did not come from the model."
    )
    members = MemberSerializer(many=True, help_text="What the score is the sum of.")
    events = EventWeightSerializer(many=True, help_text="What each event adds by all members, the strongest first.")
    reasons = RecommendationReasonSerializer(many=True)


class ExplanationSerializer(serializers.Serializer):
    """The version that answered, asked once more about the events that were in the log then."""

    decision_id = serializers.UUIDField(source="decision.decision_id")
    model_version = serializers.UUIDField(source="decision.model_version", allow_null=True)
    attribution = serializers.ChoiceField(ATTRIBUTIONS)
    available = serializers.BooleanField(help_text="false: only the reasons stored with the list are left.")
    notice = serializers.CharField(allow_null=True, help_text="Why it is not available, or what differs from then.")
    events = ReadEventSerializer(many=True, help_text="What the model read, oldest first.")
    items = ExplainedItemSerializer(many=True)


EVENT_ID = "019ac0d9-1d2c-7b44-b5a5-0c9a6b0e7f20"
EXAMPLE = OpenApiExample(
    "Two members, one event",
    value={
        "decision_id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11",
        "model_version": "019ac0dc-51c0-7c2e-8a4e-6a1c55f2e6a3",
        "attribution": "content",
        "available": True,
        "notice": None,
        "events": [
            {
                "event_id": EVENT_ID,
                "type": "view",
                "item_id": "o0042",
                "title": "Trail running shoe",
                "occurred_at": "2026-11-25T09:30:00Z",
            }
        ],
        "items": [
            {
                "id": "o0310",
                "title": "Running socks",
                "rank": 1,
                "score": 0.08,
                "replayed_score": 0.08,
                "members": [
                    {
                        "name": "neural",
                        "score": 0.05,
                        "share": 0.625,
                        "events": [{"event_id": EVENT_ID, "weight": 0.625}],
                    },
                    {
                        "name": "rules",
                        "score": 0.03,
                        "share": 0.375,
                        "events": [{"event_id": EVENT_ID, "weight": 0.375}],
                    },
                ],
                "events": [{"event_id": EVENT_ID, "weight": 1.0}],
                "reasons": [
                    {
                        "code": "because_of",
                        "text": "because you viewed Trail running shoe",
                        "weight": 1.0,
                        "item_id": "o0042",
                        "event_type": "view",
                        "event_id": EVENT_ID,
                    }
                ],
            }
        ],
    },
    response_only=True,
)


class DecisionExplanationView(APIView):
    required_scopes = {"GET": "decisions:read"}

    @extend_schema(
        operation_id="explain_decision",
        tags=["decisions"],
        summary="Take the scores of a decision apart",
        parameters=[
            AttributionSerializer,
            OpenApiParameter("id", {"type": "string", "format": "uuid"}, OpenApiParameter.PATH),
        ],
        responses=ExplanationSerializer,
        examples=[EXAMPLE],
    )
    def get(self, request: Request, id: UUID) -> Response:
        explanation = explain_decision(_find(id), AttributionSerializer.of(request)["attribution"])
        return Response(ExplanationSerializer(explanation).data)


def _find(decision_id: UUID) -> Decision:
    try:
        decision = get_decision(decision_id)
    except Decision.DoesNotExist:
        raise Http404(f"no decision {decision_id}") from None
    if decision.application != APPLICATION:
        raise Http404(f"decision {decision_id} is no list of recommendations")
    return decision


def present_explained(answer: Recommendation, explain: bool | Literal["full"], subject: Subject) -> dict[str, Any]:
    """The answer as the request wants it explained; `full` adds the members of each item's score, the events that the
    model read, and why that is missing where it is."""
    body = present(answer, explain=bool(explain))
    if explain != "full":
        return body
    explanation = explain_decision(get_decision(answer.decision_id), LIST_ATTRIBUTION, keys=subject.keys)
    members = {item["id"]: item["members"] for item in explanation.items}
    return body | {
        "items": [{**item, "members": members[item["id"]]} for item in answer.items],
        "explanation": {"available": explanation.available, "notice": explanation.notice, "events": explanation.events},
    }
