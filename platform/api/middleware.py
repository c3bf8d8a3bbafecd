"""Around every request: its id, its log line and figures; for the API its key, its tenant's scope, its transaction."""

import re
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from uuid_utils.compat import uuid7

from api.authentication import CHALLENGE, INVALID_KEY_CHALLENGE, bearer_key
from api.errors import DATABASE_GONE, Problem, problem_of
from api.metrics import observe_request, route_of
from tenancy.selectors import Caller, caller_scope
from tenancy.services import touch_api_key

log = structlog.get_logger("api.requests")

GetResponse = Callable[[HttpRequest], HttpResponse]
PUBLIC_PATHS = {"/api/v1/schema", "/api/v1/docs"}
# Addresses whose last part is a signed token: it names its tenant, and the view checks it inside that tenant's scope.
TOKEN_PATHS = ("/api/v1/ads/clicks/", "/api/v1/ads/impressions/", "/api/v1/ads/views/")
PROBES = {"/healthz", "/readyz", "/metrics"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")


class RequestIdMiddleware:
    """Takes a sane X-Request-Id of the client or makes one, echoes it, and puts it on each line that is logged."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid7())
        request.request_id = request_id  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
            _record(request, response, time.perf_counter() - started)
        response["X-Request-Id"] = request_id
        return response


def _record(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    observe_request(request, response, seconds)
    if request.path in PROBES:
        return
    caller = getattr(request, "caller", None)
    log.info(
        "request",
        method=request.method,
        path=request.path,
        route=route_of(request),
        status=response.status_code,
        ms=round(seconds * 1000, 1),
        **({"tenant": caller.tenant_id, "key": str(caller.key_id)} if caller else {}),
    )


class ApiKeyMiddleware:
    """Opens the scope of the key's tenant around the whole view: one transaction, rolled back by any error answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.caller = None  # type: ignore[attr-defined]
        if not request.path.startswith("/api/") or request.path in PUBLIC_PATHS:
            return self.get_response(request)
        if refusal := _refuse_unread(request):
            return refusal.response(request)
        if request.path.startswith(TOKEN_PATHS):
            return self._answer_token(request)
        raw_key = bearer_key(request)
        if raw_key is None:
            detail = "send the header 'Authorization: Bearer sk_...'"
            return _unauthenticated("not_authenticated", detail, CHALLENGE).response(request)
        try:
            with caller_scope(raw_key) as caller:
                return WRONG_KEY.response(request) if caller is None else self._answer(request, caller)
        except (*DATABASE_GONE, IntegrityError) as error:
            return problem_of(error).response(request)

    def _answer_token(self, request: HttpRequest) -> HttpResponse:
        try:
            return self.get_response(request)
        except (*DATABASE_GONE, IntegrityError) as error:
            return problem_of(error).response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse:
        """What a view that is not of REST framework raises, or an answer that could not be finished."""
        return problem_of(error).response(request)

    def _answer(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        request.caller = caller  # type: ignore[attr-defined]
        response = self.get_response(request)
        if response.status_code >= 400:
            transaction.set_rollback(True)
        else:
            # Last, because the key's row stays locked until the commit and others use the same key.
            touch_api_key(key_id=caller.key_id, last_used_at=caller.last_used_at)
        return response


def _refuse_unread(request: HttpRequest) -> Problem | None:
    if "\0" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
        return Problem(400, "nul_byte", "the address contains a NUL character; remove it")
    if "Transfer-Encoding" in request.headers and "Content-Length" not in request.headers:
        return Problem(411, "length_required", "send the body with a Content-Length, not chunked")
    length = request.headers.get("Content-Length") or "0"
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if length.isdecimal() and int(length) > limit:
        return Problem(413, "too_large", f"the body has {length} bytes, {limit} are taken; send it in several calls")
    return None


def _unauthenticated(code: str, detail: str, challenge: str) -> Problem:
    return Problem(401, code, detail, headers={"WWW-Authenticate": challenge})


WRONG_KEY = _unauthenticated(
    "invalid_key", "this API key is unknown, expired or revoked; make one in the console", INVALID_KEY_CHALLENGE
)
