"""GET and PUT /api/v1/service/settings: how replies are decided on."""

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from apps.service.conversations.api import READ, WRITE
from apps.service.replies.serializers import ServiceSettingsSerializer
from apps.service.replies.settings import put_settings, read_settings


class ServiceSettingsView(IdempotentWrites):
    required_scopes = {"GET": READ, "PUT": WRITE}

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
        "`auto_send_intents` names intents.",
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
