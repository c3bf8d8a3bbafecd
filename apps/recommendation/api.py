"""POST /api/v1/recommendations."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.recommendation.explanations.api import present_explained
from apps.recommendation.lists.asking import Ask
from apps.recommendation.selectors import UnknownScenario
from apps.recommendation.serializers import AskSerializer, RecommendationSerializer
from apps.recommendation.services import recommend

EXAMPLES = [
    OpenApiExample(
        "Personalised",
        value={"scenario": "home", "subject": {"user_id": "u-17", "session_id": "s-4"}, "count": 6},
        request_only=True,
    ),
    OpenApiExample(
        "Similar to a product, in stock and not dear",
        value={
            "scenario": "product",
            "subject": {"anonymous_id": "a-981"},
            "items": ["o0042"],
            "count": 4,
            "filter": {"range": {"field": "price", "lte": 80}},
            "exclude": ["o0007"],
        },
        request_only=True,
    ),
    OpenApiExample(
        "Bought together with what is in the cart",
        value={"scenario": "cart", "subject": {"user_id": "u-17"}, "items": ["o0042", "o0310"], "count": 3},
        request_only=True,
    ),
    OpenApiExample(
        "A category page, varied, and the newer the better",
        value={
            "scenario": "category",
            "subject": {"user_id": "u-17"},
            "context": {"category": "tents"},
            "params": {"diversity": 0.3, "freshness": 0.5},
        },
        request_only=True,
    ),
    OpenApiExample(
        "Next page",
        value={"scenario": "home", "subject": {"user_id": "u-17"}, "cursor": "AZrA3noxfwqdVS9sDU-bEQ"},
        request_only=True,
    ),
    OpenApiExample(
        "With the scores taken apart",
        value={"scenario": "home", "subject": {"user_id": "u-17"}, "count": 3, "explain": "full"},
        request_only=True,
    ),
    OpenApiExample(
        "Answer",
        value={
            "decision_id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11",
            "scenario": "home",
            "kind": "personalised",
            "model_version": "019ac0dc-51c0-7c2e-8a4e-6a1c55f2e6a3",
            "policy": "greedy",
            "experiment": None,
            "degraded": None,
            "notice": None,
            "items": [
                {
                    "id": "o0310",
                    "rank": 1,
                    "score": 0.0713,
                    "propensity": 1.0,
                    "reasons": [
                        {
                            "code": "because_of",
                            "text": "because you viewed Trail running shoe",
                            "weight": 0.41,
                            "item_id": "o0042",
                            "event_type": "view",
                            "event_id": "019ac0d9-1d2c-7b44-b5a5-0c9a6b0e7f20",
                        }
                    ],
                    "rules": [],
                    "parts": {"source": 0.0594, "freshness": 1.2},
                }
            ],
            "next_cursor": "AZrA3noxfwqdVS9sDU-bEQ",
        },
        response_only=True,
    ),
]


class RecommendationsView(APIView):
    required_scopes = {"POST": "recommendations:read"}

    @extend_schema(
        operation_id="recommend",
        tags=["recommendations"],
        summary="A ranked list for a subject",
        request=AskSerializer,
        responses=RecommendationSerializer,
        examples=EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        ask = Ask(**AskSerializer.read(request.data))
        try:
            answer = recommend(ask)
        except UnknownScenario as error:
            raise NotFound(str(error)) from error
        return Response(present_explained(answer, ask.explain, ask.subject))
