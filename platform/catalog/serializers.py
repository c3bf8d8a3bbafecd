"""The shape of an item in JSON: what is taken, what is refused and why. The API and the importer share it."""

import json
import math
from decimal import Decimal
from typing import Any

from django.core.validators import URLValidator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from behavior.parsing import MAX_ID, Invalid, check_storable, json_type, parse_id
from catalog.models import Item

MAX_CATEGORIES = 50
MAX_ATTRIBUTES = 200
MAX_ATTRIBUTES_BYTES = 16 * 1024


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": MAX_ID})
class ItemIdField(serializers.Field):
    """The tenant's own id, read as in events: so that both mean the same item."""

    def to_internal_value(self, data: Any) -> str:
        try:
            return parse_id(data)
        except Invalid as problem:
            raise serializers.ValidationError(problem.message, code=problem.code) from None

    def to_representation(self, value: str) -> str:
        return value


@extend_schema_field(OpenApiTypes.DECIMAL)
class PriceField(serializers.DecimalField):
    """A number in JSON; stored exactly."""

    def to_representation(self, value: Decimal) -> float:  # type: ignore[override]
        return float(value)


@extend_schema_field({"type": "object", "additionalProperties": {}})
class AttributesField(serializers.Field):
    """An object whose values are text, numbers, true, false, null, or lists of these."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError(f"must be an object, not {json_type(data)}", code="wrong_type")
        if len(data) > MAX_ATTRIBUTES:
            raise serializers.ValidationError(f"has {len(data)} members, at most {MAX_ATTRIBUTES}", code="too_large")
        problems = {name: [problem] for name, value in data.items() if (problem := _problem(name, value))}
        if problems:
            raise serializers.ValidationError(problems)
        if len(json.dumps(data, ensure_ascii=False).encode()) > MAX_ATTRIBUTES_BYTES:
            limit = f"must be at most {MAX_ATTRIBUTES_BYTES // 1024} KB of JSON"
            raise serializers.ValidationError(limit, code="too_large")
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


def _problem(name: str, value: Any) -> str | None:
    """Why an attribute cannot be stored, if so."""
    for scalar in (name, *value) if isinstance(value, list) else (name, value):
        if isinstance(scalar, dict | list):
            return f"holds {json_type(scalar)}; take text, a number, true, false, or a flat list of these"
        if isinstance(scalar, float) and not math.isfinite(scalar):
            return "holds NaN or Infinity, which JSON does not have; leave it out"
        if isinstance(scalar, str):
            try:
                check_storable(scalar)
            except Invalid as problem:
                return problem.message
    return None


class ItemSerializer(serializers.Serializer):
    """An item of the catalogue. Only `id` is required; what is left out takes its default."""

    id = ItemIdField(source="item_id", help_text="your id of the item, the same as in events")
    title = serializers.CharField(max_length=500, allow_blank=True, default="")
    description = serializers.CharField(max_length=20_000, allow_blank=True, default="")
    categories = serializers.ListField(
        child=serializers.CharField(max_length=200), max_length=MAX_CATEGORIES, default=list
    )
    brand = serializers.CharField(max_length=200, allow_blank=True, default="")
    price = PriceField(max_digits=14, decimal_places=2, min_value=Decimal(0), allow_null=True, default=None)
    currency = serializers.RegexField(
        "^[A-Z]{3}$",
        allow_blank=True,
        default="",
        help_text="ISO 4217, such as EUR",
        error_messages={"invalid": "must be an ISO 4217 code of three upper-case letters, e.g. 'EUR'"},
    )
    available = serializers.BooleanField(default=True, help_text="can be had now; others are not recommended")
    hidden = serializers.BooleanField(default=False, help_text="is never recommended; its events still count")
    image_url = serializers.CharField(
        max_length=2000, allow_blank=True, default="", validators=[URLValidator(schemes=["http", "https"])]
    )
    attributes = AttributesField(
        default=dict, help_text='text, numbers, true or false, or lists of them: {"color": ["red", "blue"], "size": 42}'
    )
    updated_at = serializers.DateTimeField(read_only=True)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError(f"must be an object, not {json_type(data)}", code="wrong_type")
        # updated_at is let through, so that what was read can be written back.
        if unknown := [name for name in data if name not in self.fields]:
            known = ", ".join(name for name, each in self.fields.items() if not each.read_only)
            message = serializers.ErrorDetail(f"is not a field of an item; known are {known}", code="unknown_field")
            raise serializers.ValidationError({_shown(name): [message] for name in unknown[:10]})
        values: dict[str, Any] = super().to_internal_value(data)
        return values


def read_item(data: Any) -> dict[str, Any]:
    """Column values of catalog.models.Item from its JSON. Raises rest_framework's ValidationError."""
    values: dict[str, Any] = _reader.run_validation(data)
    return values


def present_item(item: Item) -> dict[str, Any]:
    presented: dict[str, Any] = _reader.to_representation(item)
    return presented


def _shown(name: str) -> str:
    return name[:50].encode(errors="backslashreplace").decode()


_reader = ItemSerializer(error_messages={"null": "must be an object, not null"})
