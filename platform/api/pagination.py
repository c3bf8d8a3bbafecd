"""Cursor pages: stable while rows come and go, and as fast on the last page as on the first."""

import json
from typing import TYPE_CHECKING, Any

from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from api.serializers import ListParameters

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module while it loads


MAX_LIMIT = 500
# How many rows with one value of the ordering column a cursor may skip; the columns here are unique.
MAX_OFFSET = 1000
WRONG_CURSOR = ValidationError({"cursor": "is not a cursor of this list; start again without one"})


class CursorPages(CursorPagination):
    """{results, next_cursor, previous_cursor}; `limit` rows a page, 50 by default and 500 at most.

    A view names a unique column to order by in `page_ordering`; without it the newest rows come first. One that takes
    parameters besides the page's names and reads them itself, as `parameters`.
    """

    page_size = 50
    page_size_query_param = "limit"
    cursor_query_param = "cursor"
    ordering = "-id"

    def paginate_queryset(self, queryset: Any, request: Request, view: "APIView | None" = None) -> list[Any] | None:
        if not hasattr(view, "parameters"):
            ListParameters.of(request)
        return super().paginate_queryset(queryset, request, view)

    def get_ordering(self, request: Request, queryset: Any, view: "APIView") -> tuple[str, ...]:
        return (getattr(view, "page_ordering", self.ordering),)

    def get_page_size(self, request: Request) -> int:
        raw = request.query_params.get(self.page_size_query_param)
        if not raw:
            return self.page_size
        is_short = len(raw) <= len(str(MAX_LIMIT))
        if not (is_short and raw.isascii() and raw.isdecimal() and 1 <= int(raw) <= MAX_LIMIT):
            raise ValidationError({"limit": f"must be a whole number from 1 to {MAX_LIMIT}"})
        return int(raw)

    def encode_cursor(self, cursor: Cursor) -> str:
        return urlsafe_base64_encode(json.dumps(cursor).encode())

    def decode_cursor(self, request: Request) -> Cursor | None:
        token = request.query_params.get(self.cursor_query_param)
        if not token:
            return None
        try:
            offset, reverse, position = json.loads(urlsafe_base64_decode(token))
        except (ValueError, TypeError, RecursionError):
            raise WRONG_CURSOR from None
        is_position = position is None or (isinstance(position, str) and "\0" not in position)
        if not (type(offset) is int and 0 <= offset <= MAX_OFFSET and isinstance(reverse, bool) and is_position):
            raise WRONG_CURSOR
        return Cursor(offset, reverse, position)

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {"results": data, "next_cursor": self.get_next_link(), "previous_cursor": self.get_previous_link()}
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        cursor = {"type": "string", "nullable": True}
        return {
            "type": "object",
            "required": ["results", "next_cursor", "previous_cursor"],
            "properties": {
                "results": schema,
                "next_cursor": cursor | {"description": "null on the last page"},
                "previous_cursor": cursor | {"description": "null on the first page"},
            },
        }

    def get_schema_operation_parameters(self, view: "APIView") -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": self.page_size}
        return [
            {"name": "limit", "in": "query", "description": "rows a page", "schema": limit},
            {
                "name": "cursor",
                "in": "query",
                "description": "next_cursor or previous_cursor of another page",
                "schema": {"type": "string"},
            },
        ]
