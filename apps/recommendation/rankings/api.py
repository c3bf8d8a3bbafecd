"""POST /api/v1/rankings."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.recommendation.rankings.serializers import RankingAskSerializer, RankingSerializer, present_ranking
from apps.recommendation.rankings.services import RankingAsk, rank
from apps.recommendation.selectors import UnknownScenario

EXAMPLES = [
    OpenApiExample(
        "Results of the shop's own search",
        value={
            "subject": {"user_id": "u-17", "session_id": "s-4"},
            "query": "light tent",
            "candidates": [
                {"id": "o0042", "score": 11.2},
                {"id": "o0310", "score": 9.8, "features": {"margin": 0.31}},
                {"id": "o0007", "score": 9.1},
            ],
            "count": 2,
            "explain": True,
        },
        request_only=True,
    ),
    OpenApiExample(
        "Answer",
        value={
            "decision_id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11",
            "scenario": "search-rerank",
            "kind": "ranking",
            "model_version": "019ac0dc-51c0-7c2e-8a4e-6a1c55f2e6a3",
            "policy": "greedy",
            "experiment": None,
            "degraded": None,
            "notice": None,
            "items": [
                {
                    "id": "o0310",
                    "rank": 1,
                    "score": 0.92,
                    "propensity": 1.0,
                    "reasons": [{"code": "matches", "text": "matches light, tent", "weight": 1.0}],
                    "rules": [],
                    "parts": {"client_score": -0.11, "sequence": 0.82, "title_match": 0.21},
                },
                {"id": "o0042", "rank": 2, "score": 0.44, "propensity": 1.0, "reasons": [], "rules": []},
            ],
            "dropped_ids": [],
            "next_cursor": None,
        },
        response_only=True,
    ),
]


class RankingsView(APIView):
    required_scopes = {"POST": "recommendations:read"}

    @extend_schema(
        operation_id="rank",
        tags=["recommendations"],
        summary="The client's own candidates, in a better order for a subject and a query",
        request=RankingAskSerializer,
        responses=RankingSerializer,
        examples=EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        ask = RankingAsk(**RankingAskSerializer.read(request.data))
        try:
            answer = rank(ask)
        except UnknownScenario as error:
            raise NotFound(str(error)) from error
        return Response(present_ranking(answer))
