"""`Idempotency-Key`: a client that did not hear the answer may repeat the call, and nothing happens twice.

The answer is stored in the transaction of the write, so there is never one without the other, and a crash leaves
neither. A call that failed changed nothing and is not kept: repeating it tries again.
"""

import hashlib
import re
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import Conflict, Unprocessable
from api.models import IdempotentRequest
from tenancy.scope import current_tenant_id

HEADER = "Idempotency-Key"
KEPT_HOURS = 24
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


class _Replay(Exception):
    """Carries the stored answer past the view's method."""

    def __init__(self, stored: IdempotentRequest) -> None:
        super().__init__(stored.key)
        self.response = HttpResponse(
            stored.body,
            status=stored.status,
            content_type="application/json",
            headers={"Idempotency-Replayed": "true"} | ({"ETag": stored.etag} if stored.etag else {}),
        )


class IdempotentWrites(APIView):
    """Base of views whose writes that carry an Idempotency-Key happen once.

    The same key with another body is refused with 422, while the first call is under way with 409.
    """

    idempotent_methods = ("POST", "PUT", "PATCH", "DELETE")
    _claimed: tuple[str, bytes] | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        key = request.headers.get(HEADER)
        if key is None or request.method not in self.idempotent_methods:
            return
        if not _KEY.fullmatch(key):
            raise ValidationError({HEADER: "must have 1 to 200 printable ASCII characters and no spaces"})
        self._claimed = key, _hash(request)
        if stored := _find(*self._claimed):
            raise _Replay(stored)

    def handle_exception(self, error: Exception) -> HttpResponse:  # type: ignore[override]
        if isinstance(error, _Replay):
            self._claimed = None
            return error.response
        return super().handle_exception(error)

    def finalize_response(  # type: ignore[override]
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self._claimed and response.status_code < 400:
            _store(*self._claimed, response)
        return response


def _hash(request: Request) -> bytes:
    call = f"{request.method} {request.get_full_path()}\n".encode()
    return hashlib.sha256(call + request._request.body).digest()


def _find(key: str, request_hash: bytes) -> IdempotentRequest | None:
    """The stored answer, or None for the one call that may go ahead. Raises Conflict while another one is under way."""
    with connection.cursor() as cursor:
        # Held until this transaction ends; a crash frees it, so no key stays claimed for ever.
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, %s))", [f"idempotency:{key}", current_tenant_id()]
        )
        if not cursor.fetchone()[0]:
            raise Conflict("a call with this Idempotency-Key is under way; ask again in a moment")
    stored = IdempotentRequest.objects.filter(key=key, created_at__gt=_oldest()).first()
    if stored and bytes(stored.request_hash) != request_hash:
        raise Unprocessable("this Idempotency-Key was used for another request; make a new key for each call")
    return stored


def _store(key: str, request_hash: bytes, response: HttpResponse) -> None:
    if isinstance(response, Response):
        response.render()
    answer = IdempotentRequest(
        key=key,
        request_hash=request_hash,
        status=response.status_code,
        body=response.content.decode(),
        etag=response.headers.get("ETag", ""),
        created_at=timezone.now(),
    )
    IdempotentRequest.objects.bulk_create(
        [answer],
        update_conflicts=True,
        unique_fields=["tenant", "key"],
        update_fields=["request_hash", "status", "body", "etag", "created_at"],
    )


def expire_keys() -> int:
    """Forget the answers of the tenant in scope that are older than a day; returns how many."""
    deleted, _ = IdempotentRequest.objects.filter(created_at__lte=_oldest()).delete()
    return deleted


def _oldest() -> datetime:
    return timezone.now() - timedelta(hours=KEPT_HOURS)
