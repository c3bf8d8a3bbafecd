"""Under /api/v1/service/: how replies are decided on, which threshold the labels allow, which backends write."""

from dataclasses import asdict

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from apps.service.conversations.api import READ
from apps.service.replies.backends.choosing import backends, put_backends
from apps.service.replies.serializers import (
    BackendSerializer,
    BackendsSerializer,
    ServiceSettingsSerializer,
    ThresholdSerializer,
)
from apps.service.replies.settings import put_settings, read_settings
from apps.service.replies.thresholds import suggest_threshold

WRITE_SETTINGS = "service-settings:write"


class ServiceSettingsView(IdempotentWrites):
    required_scopes = {"GET": READ, "PUT": WRITE_SETTINGS}

    @extend_schema(
        operation_id="get_service_settings",
        tags=["replies"],
        summary="Threshold, intents that may be answered, blocked topics",
        responses=ServiceSettingsSerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(read_settings().to_dict())

    @extend_schema(
        operation_id="put_service_settings",
        tags=["replies"],
        summary="Replace them; the change is kept with who made it",
        description="What is left out takes its default. Nothing is sent by itself until `send_above` is a number and "
        "`auto_send_intents` names intents, or intents have `auto_send`.",
        request=ServiceSettingsSerializer,
        responses=ServiceSettingsSerializer,
        examples=[
            OpenApiExample(
                "send two intents", {"send_above": 0.8, "auto_send_intents": ["order_status"]}, request_only=True
            )
        ],
    )
    def put(self, request: Request) -> Response:
        values = ServiceSettingsSerializer.read(request.data)
        try:
            return Response(put_settings(values, actor=actor_of(request)).to_dict())
        except DjangoValidationError as error:
            raise ValidationError(error.message_dict) from error


class SendThresholdView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="suggest_send_threshold",
        tags=["replies"],
        summary="The confidence from which replies may be sent by themselves, and the risk-coverage curve",
        description="From the newest 10,000 drafts that agents judged and that settings alone kept from being sent: "
        "accepted as it was is right, edited or rejected is wrong. `send_above` is null, with the reason, while the "
        "labels cannot tell. PUT service/settings puts it in force.",
        responses=ThresholdSerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(ThresholdSerializer(asdict(suggest_threshold(read_settings()))).data)


class BackendsView(IdempotentWrites):
    required_scopes = {"GET": READ, "PUT": WRITE_SETTINGS}

    @extend_schema(
        operation_id="get_reply_backends",
        tags=["replies"],
        summary="What writes replies where no macro fits, in its order",
        responses=BackendsSerializer,
    )
    def get(self, request: Request) -> Response:
        return Response({"backends": BackendSerializer(backends(), many=True).data})

    @extend_schema(
        operation_id="put_reply_backends",
        tags=["replies"],
        summary="Replace the backends and their order",
        description="Each is asked in its turn until one writes something that the sources back. A server must be one "
        "that the operator of the suite allows. Its key is kept encrypted and never told; leave it out to keep it.",
        request=BackendsSerializer,
        responses=BackendsSerializer,
        examples=[
            OpenApiExample(
                "a server, then sentences of the articles",
                {
                    "backends": [
                        {
                            "name": "our vLLM",
                            "kind": "openai_compatible",
                            "base_url": "https://models.example/v1",
                            "model": "qwen3",
                            "key": "secret",
                        },
                        {"name": "extractive", "kind": "extractive"},
                    ]
                },
                request_only=True,
            )
        ],
    )
    def put(self, request: Request) -> Response:
        wanted = BackendsSerializer.read(request.data)["backends"]
        try:
            put_backends(wanted=wanted, actor=actor_of(request))
        except DjangoValidationError as error:
            raise ValidationError(error.message_dict) from error
        return self.get(request)
