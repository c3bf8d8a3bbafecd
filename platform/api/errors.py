"""Every error of the API is an RFC 9457 problem: what is wrong, where, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.encoding import escape_uri_path
from psycopg.errors import QueryCanceled
from rest_framework import exceptions
from rest_framework.fields import get_error_detail

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
DATABASE_GONE = (OperationalError, InterfaceError)
# The embedded database is back within a second or two of a crash.
DATABASE_RETRY_AFTER = 2  # seconds
TITLES = {
    400: "The request is not valid",
    401: "A valid API key is needed",
    403: "The API key may not do this",
    404: "Not found",
    405: "The address does not take this method",
    406: "Only JSON is answered",
    409: "In conflict with another write",
    411: "The length of the body is not known",
    412: "Changed since it was read",
    413: "The body is too large",
    415: "Only JSON is taken",
    422: "The request cannot be carried out",
    429: "Too many requests",
    500: "An error of the server",
    503: "Not available at the moment",
}


class TooLarge(exceptions.APIException):
    status_code = 413
    default_code = "too_large"
    default_detail = "the body is too large; send it in several calls"


class Conflict(exceptions.APIException):
    status_code = 409
    default_code = "conflict"
    default_detail = "another write came first; read again, then repeat the call"


class PreconditionFailed(exceptions.APIException):
    """What If-Match names is not what is there any more."""

    status_code = 412
    default_code = "precondition_failed"


class Unprocessable(exceptions.APIException):
    status_code = 422
    default_code = "unprocessable"


class Unavailable(exceptions.APIException):
    """Something that the answer needs is away; the client should try again after `retry_after` seconds."""

    status_code = 503
    default_code = "unavailable"
    default_detail = "try again in a moment"

    def __init__(self, detail: str | None = None, *, retry_after: int = DATABASE_RETRY_AFTER) -> None:
        super().__init__(detail)
        self.wait = retry_after


@dataclass(frozen=True)
class Problem:
    """One error as the client sees it; `code` names its kind and never changes its meaning."""

    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def body(self, request: HttpRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "type": f"urn:problem:{self.code}",
            "title": TITLES.get(self.status, "The request failed"),
            "status": self.status,
            "detail": self.detail,
            "instance": escape_uri_path(request.path),
            "request_id": getattr(request, "request_id", None),
        }
        if self.errors:
            body["errors"] = self.errors
        return body

    def response(self, request: HttpRequest) -> JsonResponse:
        body = self.body(request)
        return JsonResponse(body, status=self.status, content_type=CONTENT_TYPE, headers=self.headers)


def problem_response(error: Exception, context: dict[str, Any]) -> JsonResponse:
    """The exception handler of all API views. What is not foreseen is logged and answered with 500."""
    request = context["request"]
    return problem_of(error).response(getattr(request, "_request", request))


def problem_of(error: Exception) -> Problem:
    if isinstance(error, Http404):
        return Problem(404, "not_found", str(error) or "there is nothing at this address")
    if isinstance(error, PermissionDenied):
        return Problem(403, "permission_denied", str(error) or "this key may not do this")
    if isinstance(error, ValidationError):
        error = exceptions.ValidationError(detail=get_error_detail(error))
    if isinstance(error, exceptions.ValidationError):
        return _validation_problem(error)
    if isinstance(error, exceptions.APIException):
        return _api_problem(error)
    if isinstance(error.__cause__, QueryCanceled):
        log.warning("statement_stopped", error=str(error))
        seconds = settings.API_STATEMENT_SECONDS
        detail = f"this took the database more than {seconds} seconds and was stopped; ask for less, or again later"
        return problem_of(Unavailable(detail, retry_after=seconds))
    if isinstance(error, DATABASE_GONE):
        log.warning("database_gone", error=str(error))
        return problem_of(Unavailable("the database does not answer; nothing was stored, so repeat the call"))
    if isinstance(error, IntegrityError):
        log.warning("write_conflict", error=str(error))
        return problem_of(Conflict())
    log.error("unexpected_error", exc_info=error)
    return Problem(500, "internal_error", "this is our mistake; report the request_id if it persists")


def _api_problem(error: exceptions.APIException) -> Problem:
    headers = {}
    if authenticate := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = authenticate
    if (wait := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    return Problem(error.status_code, str(error.get_codes()), str(error.detail), headers=headers)


def list_errors(error: exceptions.ValidationError) -> list[dict[str, str]]:
    """Each single error: {"field": "items[3].price", "code": ..., "message": ..., "pointer": "#/items/3/price"}."""
    return [
        {"field": _field(path), "code": str(detail.code), "message": str(detail), "pointer": _pointer(path)}
        for path, detail in _flatten(error.detail, ())
    ]


def _validation_problem(error: exceptions.ValidationError) -> Problem:
    errors = list_errors(error)
    first = errors[0]
    detail = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
    if len(errors) > 1:
        detail += f" (and {len(errors) - 1} more, see errors)"
    return Problem(400, "validation_error", detail, errors=errors)


Path = tuple[str | int, ...]


def _flatten(detail: Any, path: Path) -> Iterator[tuple[Path, exceptions.ErrorDetail]]:
    """Each single error with its place; lists of texts belong to one place, lists of objects have one each."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flatten(inner, path if name == "non_field_errors" else (*path, name))
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            yield from _flatten(inner, path if isinstance(inner, exceptions.ErrorDetail) else (*path, number))
    else:
        yield path, detail


def _field(path: Path) -> str:
    """items[3].price"""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return shown.removeprefix(".")


def _pointer(path: Path) -> str:
    """JSON Pointer (RFC 6901) as a URI fragment: #/items/3/price"""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
