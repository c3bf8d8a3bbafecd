"""The catalogue: one item, a page of items, up to 1,000 items at once."""

import json
from typing import Any

from django.db.models import Q
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, NotFound, ParseError, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import TooLarge, list_errors
from api.idempotency import IdempotentWrites
from api.schema import FieldErrorSerializer
from api.serializers import ListParameters
from behavior.parsing import Invalid, parse_id
from catalog.filters import FilterError
from catalog.models import Item
from catalog.saved_filters import read_filter
from catalog.selectors import list_items
from catalog.serializers import ItemSerializer, present_item, read_item
from catalog.services import delete_item, patch_item, store_items

MAX_ITEMS = 1000
SCOPES = dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), "items:write") | {"GET": "items:read"}
EXAMPLE = {
    "title": "Trail running shoe",
    "categories": ["shoes", "running"],
    "brand": "Acme",
    "price": 89.9,
    "currency": "EUR",
    "attributes": {"color": ["red", "blue"], "size": 42},
}


class ItemListParameters(ListParameters):
    """What narrows a list of items."""

    category = serializers.CharField(required=False, max_length=200)
    available = serializers.BooleanField(required=False)
    search = serializers.CharField(required=False, max_length=200, help_text="words of title, brand or id")
    filter = serializers.CharField(
        required=False,
        max_length=20_000,
        help_text='a filter as in recommendations, as JSON text: {"range": {"field": "price", "lte": 50}}',
    )

    def validate_filter(self, value: str) -> Q:
        try:
            return read_filter(json.loads(value))
        except FilterError as error:
            raise ValidationError(error.detail) from None
        except (ValueError, RecursionError):
            raise ValidationError("is not JSON") from None


class ItemBodySerializer(ItemSerializer):
    """An item whose id stands in the address. The body may repeat it, so that what was read can be written back."""

    id = None  # type: ignore[assignment]


class ItemBatchSerializer(serializers.Serializer):
    items = serializers.ListField(child=ItemSerializer(), max_length=MAX_ITEMS)


class ItemResultSerializer(serializers.Serializer):
    id = serializers.CharField(allow_null=True, help_text="null where the item had none")
    result = serializers.ChoiceField(["ok", "rejected"])
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]


class ItemBatchAnswerSerializer(serializers.Serializer):
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="how many were ok and rejected")
    results = serializers.ListField(child=ItemResultSerializer(), help_text="one for each item, in their order")


class ItemsView(GenericAPIView):
    required_scopes = SCOPES
    parameters = ItemListParameters
    page_ordering = "item_id"

    @extend_schema(
        operation_id="list_items",
        tags=["items"],
        summary="A page of items, hidden ones too, in the order of their ids",
        parameters=[ItemListParameters],
        responses=ItemSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        narrowed = self.parameters.of(request)
        items = list_items(condition=narrowed.pop("filter", None), **narrowed)
        page = self.paginate_queryset(items) or []
        return self.get_paginated_response([present_item(item) for item in page])


@extend_schema(
    tags=["items"], parameters=[OpenApiParameter("item_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="id")]
)
class ItemView(IdempotentWrites):
    required_scopes = {method: scope for method, scope in SCOPES.items() if method != "POST"}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        try:
            # It is what the method is called with: the id as it is stored.
            self.kwargs["item_id"] = parse_id(self.kwargs["item_id"])
        except Invalid as problem:
            raise ValidationError({"id": ErrorDetail(problem.message, problem.code)}) from problem

    @extend_schema(operation_id="get_item", summary="One item", responses=ItemSerializer)
    def get(self, request: Request, item_id: str) -> Response:
        item = Item.objects.filter(item_id=item_id).first()
        if item is None:
            raise _unknown(item_id)
        return Response(present_item(item))

    @extend_schema(
        operation_id="put_item",
        summary="Make an item, or replace it whole",
        request=ItemBodySerializer,
        responses=ItemSerializer,
        examples=[OpenApiExample("an item", EXAMPLE, request_only=True)],
    )
    def put(self, request: Request, item_id: str) -> Response:
        store_items([read_item(_read_body(request, item_id))])
        return Response(present_item(Item.objects.get(item_id=item_id)))

    @extend_schema(
        operation_id="patch_item",
        summary="Change some fields of an item",
        description="A JSON merge patch: what is left out stays, null resets a field, `attributes` are merged.",
        request=ItemBodySerializer(partial=True),
        responses=ItemSerializer,
        examples=[OpenApiExample("sold out", {"available": False, "attributes": {"size": None}}, request_only=True)],
    )
    def patch(self, request: Request, item_id: str) -> Response:
        changes = _read_body(request, item_id)
        try:
            return Response(present_item(patch_item(item_id=item_id, changes=changes)))
        except Item.DoesNotExist:
            raise _unknown(item_id) from None

    @extend_schema(
        operation_id="delete_item",
        summary="Take an item out of the catalogue; its events stay",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, item_id: str) -> Response:
        if not delete_item(item_id=item_id):
            raise _unknown(item_id)
        return Response(status=204)


class ItemBatchView(IdempotentWrites):
    required_scopes = {"POST": "items:write"}

    @extend_schema(
        operation_id="put_items",
        tags=["items"],
        summary=f"Make or replace up to {MAX_ITEMS:,} items",
        description="Each is judged on its own: good ones are stored, though others of the same call are rejected.",
        request=ItemBatchSerializer,
        responses=ItemBatchAnswerSerializer,
        examples=[OpenApiExample("a batch", {"items": [{"id": "sku-123"} | EXAMPLE]}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        items = _read_batch(request.data)
        rows, results = [], []
        for item in items:
            try:
                row = read_item(item)
            except ValidationError as error:
                results.append({"id": _id_of(item), "result": "rejected", "errors": list_errors(error)})
            else:
                rows.append(row)
                results.append({"id": row["item_id"], "result": "ok"})
        store_items(rows)
        return Response({"counts": {"ok": len(rows), "rejected": len(items) - len(rows)}, "results": results})


def _read_batch(body: Any) -> list[Any]:
    if not isinstance(body, dict) or not isinstance(body.get("items"), list):
        raise ValidationError({"items": 'send {"items": [...]}'})
    if unknown := sorted(body.keys() - {"items"}):
        raise ValidationError({unknown[0][:50]: "is unknown beside 'items'"})
    items: list[Any] = body["items"]
    if len(items) > MAX_ITEMS:
        raise TooLarge(f"{len(items):,} items in one call; at most {MAX_ITEMS:,} are taken, nothing was stored")
    return items


def _id_of(item: Any) -> str | None:
    """The id of an item, as far as it has one."""
    try:
        return parse_id(item.get("id")) if isinstance(item, dict) else None
    except Invalid:
        return None


def _read_body(request: Request, item_id: str) -> dict[str, Any]:
    """The body with the id of its address, which it may repeat."""
    # REST framework reads an absent body as {}, and that would reset the whole item.
    if request.headers.get("Content-Length", "0") in ("", "0"):
        raise ParseError("the body is empty; send an object, {} for an item with nothing but its id")
    body = request.data
    if not isinstance(body, dict):
        raise ValidationError("the body must be an object")
    if "id" in body and _id_of(body) != item_id:
        raise ValidationError({"id": "is not the id of the address; leave it out, or call the address of that item"})
    return body | {"id": item_id}


def _unknown(item_id: str) -> NotFound:
    return NotFound(f"there is no item '{item_id}' in the catalogue")
