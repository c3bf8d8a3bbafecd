"""What OpenAPI says about every operation: its scope, its problems, its idempotency."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from api.errors import CONTENT_TYPE
from api.permissions import required_scope

PROBLEMS = {
    "400": "The request is not valid; `errors` names each field",
    "401": "The API key is missing, unknown, expired or revoked",
    "403": "The key lacks the scope",
    "404": "Not found, or not this tenant's",
    "413": "The body is too large",
    "429": "Too many requests with this key",
    "503": "Not available at the moment; nothing was stored",
}
IDEMPOTENCY_PROBLEMS = {
    "409": "A call with the same Idempotency-Key is under way",
    "422": "The Idempotency-Key was used for another request",
}
IDEMPOTENCY_KEY = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"}
RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds to wait before a new try"}}


class FieldErrorSerializer(serializers.Serializer):
    field = serializers.CharField(allow_blank=True, help_text="where, such as items[3].price")
    code = serializers.CharField()
    message = serializers.CharField()
    pointer = serializers.CharField(help_text="where, as a JSON Pointer, such as #/items/3/price")


class ProblemSerializer(serializers.Serializer):
    """RFC 9457 problem."""

    type = serializers.CharField(help_text="the kind of problem, for programs")
    title = serializers.CharField()
    status = serializers.IntegerField(help_text="of HTTP")
    detail = serializers.CharField()
    instance = serializers.CharField()
    request_id = serializers.CharField(allow_null=True)
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]


class ProblemSchema(AutoSchema):
    def get_override_parameters(self) -> list[Any]:
        if not self._is_idempotent():
            return []
        explanation = "a repeated call with the same key within 24 hours is answered as the first was, and does nothing"
        return [OpenApiParameter("Idempotency-Key", IDEMPOTENCY_KEY, OpenApiParameter.HEADER, description=explanation)]

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        scope = required_scope(self.view, self.method)
        if operation is None or scope is None:
            return operation
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds the scope `{scope}`.".strip()
        problems = PROBLEMS | (IDEMPOTENCY_PROBLEMS if self._is_idempotent() else {})
        reference = self.resolve_serializer(ProblemSerializer, "response").ref
        for status, description in problems.items():
            answer = {"description": description, "content": {CONTENT_TYPE: {"schema": reference}}}
            if status in ("429", "503"):
                answer["headers"] = RETRY_AFTER
            operation["responses"].setdefault(status, answer)
        return operation

    def _is_idempotent(self) -> bool:
        return self.method in getattr(self.view, "idempotent_methods", ())
