"""Intents, their examples, and what a message says."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import TooLarge
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from api.parsers import JSONParser
from api.serializers import ListParameters, QueryParameters
from apps.service.understanding.examples import OUT_OF_SCOPE, BadExample, NewExample, read_example
from apps.service.understanding.models import Intent, IntentExample
from apps.service.understanding.problems import find_problems
from apps.service.understanding.reading import CSVParser
from apps.service.understanding.selectors import examples, intents, order_patterns, understand
from apps.service.understanding.serializers import (
    EXAMPLE_RESULTS,
    IntentChangeSerializer,
    IntentExamplesAnswerSerializer,
    IntentExampleSerializer,
    IntentProblemsSerializer,
    IntentSerializer,
    MessageSerializer,
    NewIntentExamplesSerializer,
    NewIntentSerializer,
    UnderstandingSerializer,
    UnderstandingSettingsSerializer,
)
from apps.service.understanding.services import (
    MOST_EXAMPLES_AT_ONCE,
    add_examples,
    change_intent,
    create_intent,
    remove_example,
    remove_intent,
    set_order_patterns,
)

READ, WRITE = "knowledge:read", "knowledge:write"
TAGS = ["intents"]
REFUND = {"name": "refund_not_received", "description": "The money of a return has not come.", "auto_send": False}
TWO = {
    "examples": [
        {"text": "where is my refund?", "intent": "refund_not_received"},
        {"text": "what is the weather like", "intent": OUT_OF_SCOPE},
    ]
}
CSV = "text,intent\nwhere is my refund?,refund_not_received\n"


@contextmanager
def unknown_rows() -> Iterator[None]:
    try:
        yield
    except Intent.DoesNotExist:
        raise NotFound("there is no such intent") from None
    except IntentExample.DoesNotExist:
        raise NotFound("there is no such example") from None


class IntentsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    serializer_class = IntentSerializer
    page_ordering = "name"

    def get_queryset(self) -> QuerySet[Intent]:
        return intents()

    @extend_schema(
        operation_id="list_intents",
        tags=TAGS,
        summary="A page of intents, by name",
        responses=IntentSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="create_intent",
        tags=TAGS,
        summary="Make an intent",
        request=NewIntentSerializer,
        responses={201: IntentSerializer},
        examples=[OpenApiExample("an intent", REFUND, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = NewIntentSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = create_intent(actor=actor_of(request), **body.validated_data)
        return Response(IntentSerializer(intents().get(id=made.id)).data, status=201)


@extend_schema(tags=TAGS)
class IntentView(IdempotentWrites):
    required_scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @extend_schema(operation_id="get_intent", summary="One intent", responses=IntentSerializer)
    def get(self, request: Request, id: UUID) -> Response:
        with unknown_rows():
            return Response(IntentSerializer(intents().get(id=id)).data)

    @extend_schema(
        operation_id="change_intent",
        summary="Change an intent; its name stays",
        request=IntentChangeSerializer,
        responses=IntentSerializer,
    )
    def patch(self, request: Request, id: UUID) -> Response:
        body = IntentChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with unknown_rows():
            change_intent(intent_id=id, actor=actor_of(request), **body.validated_data)
        return Response(IntentSerializer(intents().get(id=id)).data)

    @extend_schema(
        operation_id="remove_intent",
        summary="Remove an intent with its examples",
        description="A model that knows it is no longer believed where it answers it; train it again.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, id: UUID) -> Response:
        with unknown_rows():
            remove_intent(intent_id=id)
        return Response(status=204)


class IntentProblemsView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="list_intent_problems",
        tags=TAGS,
        summary="An intent's examples that are nearly the same as another one",
        description="`conflict`: as one of another intent, which teaches a model both; `similar`: as one of its own.",
        responses=IntentProblemsSerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:
        with unknown_rows():
            found = Intent.objects.get(id=id)
        return Response(IntentProblemsSerializer({"problems": find_problems(found.id)}).data)


class AddingParameters(QueryParameters):
    create_intents = serializers.BooleanField(
        default=False, help_text="make the intents that are named and not there yet"
    )


class ExampleParameters(ListParameters):
    intent = serializers.CharField(required=False, max_length=100, help_text=f"an intent's name, or {OUT_OF_SCOPE}")


class IntentExamplesView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    parameters = ExampleParameters
    serializer_class = IntentExampleSerializer
    parser_classes = (JSONParser, CSVParser)
    queryset = IntentExample.objects.none()

    @extend_schema(
        operation_id="list_intent_examples",
        tags=TAGS,
        summary="A page of examples, newest first",
        parameters=[ExampleParameters],
        responses=IntentExampleSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        name = self.parameters.of(request).get("intent")
        found = examples(out_of_scope=True) if name == OUT_OF_SCOPE else examples(intent=name)
        page = self.paginate_queryset(found)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="add_intent_examples",
        tags=TAGS,
        summary=f"Add up to {MOST_EXAMPLES_AT_ONCE:,} examples, as JSON or as a CSV file",
        description="Each is judged on its own: good ones are stored, though others of the same call are rejected. A "
        "CSV file has a header with `text` and `intent`. A text has one intent.",
        parameters=[AddingParameters],
        request={"application/json": NewIntentExamplesSerializer, "text/csv": OpenApiTypes.STR},
        responses=IntentExamplesAnswerSerializer,
        examples=[
            OpenApiExample("two examples", TWO, request_only=True, media_type="application/json"),
            OpenApiExample("a file", CSV, request_only=True, media_type="text/csv"),
        ],
    )
    def post(self, request: Request) -> Response:
        create_intents = AddingParameters.of(request)["create_intents"]
        raws = _list_of_examples(request.data)
        results: list[dict[str, Any]] = [{"result": "added"} for _ in raws]
        good: dict[int, NewExample] = {}
        for number, raw in enumerate(raws):
            try:
                good[number] = read_example(raw)
            except BadExample as error:
                results[number] = {"result": "rejected", "errors": error.reasons}
        answer = add_examples(examples=list(good.values()), actor=actor_of(request), create_intents=create_intents)
        numbers = list(good)
        for place in answer.duplicate:
            results[numbers[place]] = {"result": "duplicate"}
        for place, (field, code, message) in answer.refused.items():
            error_of = {"field": field, "code": code, "message": message}
            results[numbers[place]] = {"result": "rejected", "errors": [error_of]}
        counts = Counter(result["result"] for result in results)
        return Response(
            {
                "counts": {name: counts[name] for name in EXAMPLE_RESULTS},
                "created_intents": answer.created,
                "results": results,
            }
        )


class IntentExampleView(IdempotentWrites):
    required_scopes = {"DELETE": WRITE}

    @extend_schema(
        operation_id="remove_intent_example",
        tags=TAGS,
        summary="Remove an example",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, id: UUID) -> Response:
        with unknown_rows():
            remove_example(example_id=id)
        return Response(status=204)


@extend_schema(tags=TAGS)
class UnderstandingSettingsView(IdempotentWrites):
    required_scopes = {"GET": READ, "PUT": WRITE}

    @extend_schema(
        operation_id="get_understanding_settings",
        summary="How order ids are written",
        responses=UnderstandingSettingsSerializer,
    )
    def get(self, request: Request) -> Response:
        return Response({"order_patterns": order_patterns()})

    @extend_schema(
        operation_id="put_understanding_settings",
        summary="Say how order ids are written",
        request=UnderstandingSettingsSerializer,
        responses=UnderstandingSettingsSerializer,
        examples=[OpenApiExample("two shops", {"order_patterns": ["ORD-{digits:6}", "#{letters:1}{digits:7}"]})],
    )
    def put(self, request: Request) -> Response:
        body = UnderstandingSettingsSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        stored = set_order_patterns(patterns=body.validated_data["order_patterns"], actor=actor_of(request))
        return Response({"order_patterns": stored.order_patterns})


class UnderstandingsView(APIView):
    required_scopes = {"POST": "conversations:read"}

    @extend_schema(
        operation_id="understand_message",
        tags=["conversations"],
        summary="What a message says: intent, entities, sentiment, urgency, language",
        description="Nothing is stored. Where no model answers, the nearest example does, and `degraded` says so.",
        request=MessageSerializer,
        responses=UnderstandingSerializer,
        examples=[OpenApiExample("a message", {"text": "Order #W2890441 has not come, I paid $20"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = MessageSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(UnderstandingSerializer(understand(body.validated_data["text"])).data)


def _list_of_examples(body: Any) -> list[Any]:
    if not isinstance(body, dict) or not isinstance(body.get("examples"), list):
        raise ValidationError({"examples": 'send {"examples": [{"text": ..., "intent": ...}]}, or a CSV file'})
    if unknown := sorted(body.keys() - {"examples"}):
        raise ValidationError(
            {unknown[0].encode(errors="backslashreplace").decode()[:50]: "is unknown beside 'examples'"}
        )
    raws: list[Any] = body["examples"]
    if len(raws) > MOST_EXAMPLES_AT_ONCE:
        raise TooLarge(
            f"{len(raws):,} examples in one call; at most {MOST_EXAMPLES_AT_ONCE:,} are taken, nothing was stored"
        )
    return raws
