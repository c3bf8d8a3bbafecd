"""POST /api/v1/searches."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.recommendation.searches.serializers import SearchAnswerSerializer, SearchAskSerializer, present_search
from apps.recommendation.searches.services import next_page, search
from apps.recommendation.selectors import UnknownScenario

EXAMPLES = [
    OpenApiExample(
        "A search",
        value={
            "query": "waterprof hiking boots",
            "subject": {"anonymous_id": "a-981", "session_id": "s-4"},
            "count": 12,
            "filter": {"range": {"field": "price", "lte": 150}},
        },
        request_only=True,
    ),
    OpenApiExample(
        "Its next page",
        value={"cursor": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11", "subject": {"anonymous_id": "a-981"}},
        request_only=True,
    ),
    OpenApiExample(
        "Answer",
        value={
            "decision_id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11",
            "scenario": "search",
            "kind": "search",
            "model_version": "019ac0dc-51c0-7c2e-8a4e-6a1c55f2e6a3",
            "policy": "greedy",
            "experiment": None,
            "degraded": "corrected",
            "notice": "no item has “waterprof”, shown is “waterproof”",
            "corrected_query": "waterproof hiking boots",
            "total": 37,
            "total_is_capped": False,
            "facets": {
                "categories": [{"value": "boots", "count": 31}],
                "brands": [{"value": "Acme", "count": 12}],
                "prices": [{"gte": 50.0, "lt": 100.0, "count": 20}, {"gte": 100.0, "lt": 200.0, "count": 17}],
            },
            "items": [
                {
                    "id": "o0042",
                    "rank": 1,
                    "score": 0.93,
                    "propensity": 1.0,
                    "reasons": [
                        {
                            "code": "matches",
                            "text": "matches “waterproof” (for “waterprof”), “hiking”, “boots”",
                            "weight": 1.0,
                            "words": ["waterprof", "hiking", "boots"],
                        },
                        {"code": "meaning", "text": "close in meaning to the search", "weight": 0.71},
                    ],
                    "rules": [],
                }
            ],
            "next_cursor": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11",
        },
        response_only=True,
    ),
]


class SearchesView(APIView):
    required_scopes = {"POST": "recommendations:read"}

    @extend_schema(
        operation_id="search",
        tags=["searches"],
        summary="Items that match a query, ranked for a subject",
        request=SearchAskSerializer,
        responses=SearchAnswerSerializer,
        examples=EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        serializer = SearchAskSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        ask = serializer.ask()
        cursor = serializer.validated_data.get("cursor")
        try:
            answer = search(next_page(cursor, ask) if cursor else ask)
        except UnknownScenario as error:
            raise NotFound(str(error)) from error
        return Response(present_search(answer))
