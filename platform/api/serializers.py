"""What serializers of requests have in common."""

from functools import cache
from typing import Any, ClassVar, Self

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from behavior.judging import MOST_NAMED
from behavior.parsing import Invalid, parse_properties


class RequestSerializer(serializers.Serializer):
    """Of what a client sends. Whoever names no choice is told which there are."""

    def get_fields(self) -> dict[str, serializers.Field]:
        fields: dict[str, serializers.Field] = super().get_fields()
        for field in fields.values():
            _name_choices(field)
        return fields


def _name_choices(field: Any) -> None:
    if isinstance(field, serializers.ChoiceField):
        names = [str(choice) for choice in field.choices]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        field.error_messages["invalid_choice"] = f'"{{input}}" is none of {", ".join(names[:MOST_NAMED])}{more}'
    if hasattr(field, "child"):
        _name_choices(field.child)


class StrictSerializer(RequestSerializer):
    """Refuses fields that it does not know, since a misspelt one would silently take its default."""

    noun: ClassVar[str] = "field"
    # Known besides its own fields, and read by somebody else.
    also_known: ClassVar[tuple[str, ...]] = ()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(data.keys() - self.fields.keys() - {*self.also_known})):
            message = f"is not a {self.noun}; known are {', '.join([*self.fields, *self.also_known])}"
            raise serializers.ValidationError({name: [message] for name in unknown[:MOST_NAMED]})
        return super().to_internal_value(data)

    @classmethod
    def read(cls, data: Any) -> dict[str, Any]:
        """The validated data of a request. Raises rest_framework's ValidationError.

        For paths where every millisecond counts: one serializer reads all requests, as the child of a list serializer
        does, instead of copying its fields for each.
        """
        return cls._reader().run_validation(data)

    @classmethod
    @cache
    def _reader(cls) -> Self:
        return cls()


class QueryParameters(StrictSerializer):
    """Of what stands behind the question mark of an address; an empty one counts as left out."""

    noun = "parameter"

    @classmethod
    def of(cls, request: Request) -> dict[str, Any]:
        """The validated parameters. Raises rest_framework's ValidationError."""
        # A plain dict: from a query string REST framework would read an absent flag as false.
        return cls.read({name: value for name, value in request.query_params.items() if value})


class ListParameters(QueryParameters):
    """Of a list in pages; `api.pagination` reads those of the page."""

    also_known = ("limit", "cursor")


@extend_schema_field(OpenApiTypes.OBJECT)
class ObjectField(serializers.Field):
    """A JSON object that can be stored: no NUL, no NaN, at most 32 KB and 8 levels deep."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        try:
            parse_properties(data)
        except Invalid as error:
            raise serializers.ValidationError(error.message, code=error.code) from error
        if not isinstance(data, dict):
            raise serializers.ValidationError("must be a JSON object", code="wrong_type")
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value
