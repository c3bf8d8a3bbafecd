"""POST /api/v1/events: behaviour in. Each event is judged on its own and answered on its own."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import TooLarge
from api.idempotency import IdempotentWrites
from behavior.clock import EPOCH
from behavior.parsing import Invalid, parse_time
from behavior.services import RESULTS, EventResult, store_events

MAX_EVENTS = 1000
ENVELOPE_FIELDS = {"sent_at", "events"}


class SubjectSerializer(serializers.Serializer):
    """Who did it: user_id or anonymous_id, or both; the user wins."""

    user_id = serializers.CharField(required=False, max_length=200)
    anonymous_id = serializers.CharField(required=False, max_length=200)
    session_id = serializers.CharField(required=False, max_length=200)


class ConsentSerializer(serializers.Serializer):
    personalisation = serializers.BooleanField(default=True)
    training = serializers.BooleanField(default=True)


class EventSerializer(serializers.Serializer):
    message_id = serializers.CharField(
        max_length=200, help_text="your id of this event; a retry with it is stored once"
    )
    type = serializers.RegexField("^[a-z][a-z0-9_.-]{0,63}$", help_text="view, cart, purchase, or any of your own")
    subject = SubjectSerializer()
    item_id = serializers.CharField(required=False, max_length=200)
    value = serializers.FloatField(required=False, min_value=-1e12, max_value=1e12, help_text="price, rating, ...")
    quantity = serializers.FloatField(required=False, help_text="greater than 0")
    currency = serializers.RegexField("^[A-Z]{3}$", required=False, help_text="ISO 4217")
    decision_id = serializers.UUIDField(required=False, help_text="of the answer that led to this event")
    created_at = serializers.DateTimeField(
        required=False, help_text="when it happened by your clock: ISO 8601, or epoch seconds or milliseconds"
    )
    consent = ConsentSerializer(required=False)
    properties = serializers.DictField(required=False, help_text="anything else; at most 32 KB, 8 levels deep")


class EventBatchSerializer(serializers.Serializer):
    sent_at = serializers.DateTimeField(
        required=False, help_text="your clock when you send this; with it a wrong clock does no harm"
    )
    events = serializers.ListField(child=EventSerializer(), max_length=MAX_EVENTS)


class ReasonSerializer(serializers.Serializer):
    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class EventResultSerializer(serializers.Serializer):
    result = serializers.ChoiceField(RESULTS)
    errors = ReasonSerializer(many=True, required=False)  # type: ignore[assignment]


class EventAnswerSerializer(serializers.Serializer):
    request_id = serializers.CharField()
    received_at = serializers.DateTimeField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="how many events had each result")
    results = serializers.DictField(
        child=EventResultSerializer(),
        help_text="by message_id; '#<index>' for an event without a usable one, '<message_id>#<index>' for a repeat",
    )


EXAMPLES = [
    OpenApiExample(
        "one event",
        {
            "message_id": "0b6e4d0e-view-17",
            "type": "view",
            "subject": {"anonymous_id": "a-4711", "session_id": "s-9"},
            "item_id": "sku-123",
            "created_at": "2026-11-24T09:30:00Z",
        },
        request_only=True,
    ),
    OpenApiExample(
        "a batch",
        {
            "sent_at": "2026-11-24T09:30:05Z",
            "events": [
                {
                    "message_id": "order-1001",
                    "type": "purchase",
                    "subject": {"user_id": "u-42"},
                    "item_id": "sku-123",
                    "value": 19.9,
                    "quantity": 1,
                    "currency": "EUR",
                    "created_at": "2026-11-24T09:30:00Z",
                }
            ],
        },
        request_only=True,
    ),
    OpenApiExample(
        "each event has its result",
        {
            "request_id": "01a20b67-37fc-7000-8001-ac5acea9272e",
            "received_at": "2026-11-24T09:30:05.120000Z",
            "counts": {"ok": 1, "duplicate": 0, "quarantined": 1, "rejected": 0, "retry": 0},
            "results": {
                "order-1001": {"result": "ok"},
                "order-1002": {
                    "result": "quarantined",
                    "errors": [
                        {
                            "field": "currency",
                            "code": "pattern",
                            "message": "must be an ISO 4217 code of three upper-case letters, e.g. 'EUR'",
                        }
                    ],
                },
            },
        },
        response_only=True,
    ),
]


class EventsView(IdempotentWrites, APIView):
    required_scopes = {"POST": "events:write"}

    @extend_schema(
        operation_id="send_events",
        summary="Send events",
        description=(
            f"One event, or up to {MAX_EVENTS:,} under `events`. Each is answered on its own: `ok` is stored, "
            "`duplicate` was stored before, `quarantined` is kept and can be repaired and replayed in the console, "
            "`rejected` is not kept and only you can repair it, `retry` asks you to send it again."
        ),
        request=PolymorphicProxySerializer(
            "EventOrBatch", [EventSerializer, EventBatchSerializer], resource_type_field_name=None
        ),
        responses=EventAnswerSerializer,
        examples=EXAMPLES,
        tags=["events"],
    )
    def post(self, request: Request) -> Response:
        events, sent_at = read_envelope(request._request.body)
        batch = store_events(events=events, source="api", sent_at=sent_at)
        return Response(
            {
                "request_id": getattr(request._request, "request_id", None),
                "received_at": batch.received_at,
                "counts": batch.counts,
                "results": keyed_results(batch.results),
            }
        )


def read_envelope(body: bytes) -> tuple[list[Any], datetime | None]:
    """(events, sent_at) of a request. Raises ParseError, ValidationError or TooLarge when the whole is no good."""
    try:
        envelope = json.loads(body)
    except json.JSONDecodeError as error:
        raise ParseError(f"is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise ParseError(f"is no JSON that can be read: {error}") from None
    if not isinstance(envelope, dict):
        raise ValidationError('send one event as an object, or several as {"events": [...]}')
    if "events" not in envelope:
        event = {name: value for name, value in envelope.items() if name != "sent_at"}
        return [event], _read_time(envelope.get("sent_at"))
    if unknown := envelope.keys() - ENVELOPE_FIELDS:
        raise ValidationError({_shown(name): "is unknown beside 'sent_at' and 'events'" for name in sorted(unknown)})
    events = envelope["events"]
    if not isinstance(events, list):
        raise ValidationError({"events": "must be a list"})
    if len(events) > MAX_EVENTS:
        raise TooLarge(f"{len(events):,} events in one call; at most {MAX_EVENTS:,} are taken, nothing was stored")
    return events, _read_time(envelope.get("sent_at"))


def _read_time(sent_at: Any) -> datetime | None:
    if sent_at is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=parse_time(sent_at))
    except Invalid as problem:
        raise ValidationError({"sent_at": problem.message}) from None


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def keyed_results(results: Iterable[EventResult]) -> dict[str, dict[str, Any]]:
    keyed: dict[str, dict[str, Any]] = {}
    for index, result in enumerate(results):
        key = f"#{index}" if result.message_id is None else result.message_id
        answer: dict[str, Any] = {"result": result.result}
        if result.errors:
            answer["errors"] = result.errors
        keyed[f"{key}#{index}" if key in keyed else key] = answer
    return keyed
