"""POST /api/v1/recommendations/pages."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import problem_of
from api.schema import ProblemSerializer
from api.serializers import ObjectField, StrictSerializer
from apps.recommendation.explanations.api import present_explained
from apps.recommendation.lists.pages import Slot, SlotAnswer, recommend_page
from apps.recommendation.selectors import UnknownScenario
from apps.recommendation.serializers import ListRequestSerializer, RecommendationSerializer, SubjectField
from behavior.subjects import Subject

MOST_SLOTS = 20
LONGEST_NAME = 50
EXAMPLES = [
    OpenApiExample(
        "A product page with three shelves",
        value={
            "subject": {"user_id": "u-17"},
            "slots": [
                {"slot": "similar", "scenario": "product", "items": ["o0042"], "count": 4},
                {"slot": "bought-with", "scenario": "also-bought", "items": ["o0042"], "count": 4},
                {"slot": "for-you", "scenario": "home", "count": 8},
            ],
            "distinct": True,
        },
        request_only=True,
    ),
]


class SlotSerializer(ListRequestSerializer):
    """One list of the page."""

    slot = serializers.SlugField(
        max_length=LONGEST_NAME, required=False, help_text="What the answer calls it; without it, the scenario's key."
    )


@extend_schema_field(SlotSerializer(many=True))
class SlotsField(serializers.ListField):
    """Objects that are judged one by one, so that a bad one costs the others nothing."""

    child = ObjectField()


class PageSerializer(StrictSerializer):
    """A request for the lists of one page."""

    subject = SubjectField()
    slots = SlotsField(
        min_length=1, max_length=MOST_SLOTS, help_text="Lists in the order in which they may take items."
    )
    distinct = serializers.BooleanField(
        required=False, default=True, help_text="No item appears in two slots; earlier slots go first."
    )


class SlotAnswerSerializer(serializers.Serializer):
    slot = serializers.CharField()
    recommendation = RecommendationSerializer(allow_null=True, help_text="null where there is a problem.")
    problem = ProblemSerializer(allow_null=True, help_text="What was wrong with this slot's request.")


class PageAnswerSerializer(serializers.Serializer):
    """The answer; each slot's list is a decision of its own, and all of them carry the page's id."""

    page_id = serializers.UUIDField()
    slots = SlotAnswerSerializer(many=True)


class PagesView(APIView):
    required_scopes = {"POST": "recommendations:read"}

    @extend_schema(
        operation_id="recommend_page",
        tags=["recommendations"],
        summary="The lists of one page, without repeats",
        request=PageSerializer,
        responses=PageAnswerSerializer,
        examples=EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        asked = PageSerializer.read(request.data)
        slots = [_read_slot(number, raw) for number, raw in enumerate(asked["slots"], start=1)]
        page_id, answers = recommend_page(asked["subject"], slots, distinct=asked["distinct"])
        presented = [
            _present(answer, slot, asked["subject"], request) for answer, slot in zip(answers, slots, strict=True)
        ]
        return Response({"page_id": page_id, "slots": presented})


def _read_slot(number: int, raw: dict[str, Any]) -> Slot:
    try:
        asked = dict(SlotSerializer.read(raw))
    except serializers.ValidationError as error:
        return Slot(str(raw.get("slot") or raw.get("scenario") or number)[:50], error)
    return Slot(asked.pop("slot", asked["scenario"]), asked)


def _present(answer: SlotAnswer, slot: Slot, subject: Subject, request: Request) -> dict[str, Any]:
    if answer.recommendation and isinstance(slot.request, dict):
        shown = present_explained(answer.recommendation, slot.request["explain"], subject)
        return {"slot": answer.name, "recommendation": shown, "problem": None}
    error = NotFound(str(answer.error)) if isinstance(answer.error, UnknownScenario) else answer.error
    assert error is not None
    problem = problem_of(error).body(request._request)
    return {"slot": answer.name, "recommendation": None, "problem": problem}
