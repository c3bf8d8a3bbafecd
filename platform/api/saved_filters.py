"""Saved filters: expressions under a key, used by name in requests, scenarios and rules."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Conflict
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from api.serializers import ObjectField, RequestSerializer
from catalog.filter_services import FilterInUse, delete_filter, put_filter
from catalog.filters import FilterError
from catalog.models import SavedFilter

MAX_KEY = 50
EXAMPLE = {
    "description": "Shoes up to a price",
    "expression": {
        "and": [
            {"eq": {"field": "categories", "value": "shoes"}},
            {"range": {"field": "price", "lte": {"param": "max"}}},
        ]
    },
    "parameters": {"max": {"type": "number", "default": 80}},
}


class SavedFilterSerializer(serializers.Serializer):
    key = serializers.SlugField(max_length=MAX_KEY)
    description = serializers.CharField(allow_blank=True)
    expression = ObjectField()
    parameters = ObjectField()
    updated_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class SavedFilterBodySerializer(RequestSerializer):
    """A filter expression whose values may be parameters."""

    description = serializers.CharField(max_length=500, allow_blank=True, default="")
    expression = ObjectField(
        help_text='as in recommendations; {"param": "max"} in place of a value, {"saved": "key"} in place of a filter'
    )
    parameters = ObjectField(
        default=dict,
        help_text="by name: type (text, number, boolean, time, texts, numbers) and perhaps a default",
    )

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(set(self.initial_data) - set(self.fields)):
            known = ", ".join(self.fields)
            raise serializers.ValidationError(dict.fromkeys(unknown[:10], f"is unknown; known are {known}"))
        return fields


class SavedFiltersView(GenericAPIView):
    required_scopes = {"GET": "filters:read"}
    serializer_class = SavedFilterSerializer
    page_ordering = "key"

    def get_queryset(self) -> QuerySet[SavedFilter]:
        return SavedFilter.objects.all()

    @extend_schema(
        operation_id="list_filters",
        tags=["filters"],
        summary="A page of saved filters, in the order of their keys",
        responses=SavedFilterSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


@extend_schema(tags=["filters"])
class SavedFilterView(IdempotentWrites):
    required_scopes = {"GET": "filters:read", "PUT": "filters:write", "DELETE": "filters:write"}

    @extend_schema(operation_id="get_filter", summary="One saved filter", responses=SavedFilterSerializer)
    def get(self, request: Request, key: str) -> Response:
        saved = SavedFilter.objects.filter(key=key).first()
        if saved is None:
            raise _unknown(key)
        return Response(SavedFilterSerializer(saved).data)

    @extend_schema(
        operation_id="put_filter",
        summary="Save a filter, or replace it",
        description="Refused with 409 where a place that uses the filter could not use the new one.",
        request=SavedFilterBodySerializer,
        responses=SavedFilterSerializer,
        examples=[OpenApiExample("shoes up to a price", EXAMPLE, request_only=True)],
    )
    def put(self, request: Request, key: str) -> Response:
        if len(key) > MAX_KEY:
            raise ValidationError({"key": f"must have at most {MAX_KEY} characters"})
        body = SavedFilterBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            saved = put_filter(key=key, actor=actor_of(request), **body.validated_data)
        except FilterError as error:
            raise ValidationError(error.detail) from error
        except FilterInUse as error:
            raise Conflict(str(error)) from error
        return Response(SavedFilterSerializer(saved).data)

    @extend_schema(
        operation_id="delete_filter",
        summary="Remove a saved filter that nothing uses",
        description="Refused with 409 while it is in use; the detail names where.",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, key: str) -> Response:
        try:
            delete_filter(key=key)
        except SavedFilter.DoesNotExist:
            raise _unknown(key) from None
        except FilterInUse as error:
            raise Conflict(str(error)) from error
        return Response(status=204)


def _unknown(key: str) -> NotFound:
    return NotFound(f"there is no saved filter '{key}'")
