"""Addresses that only tests have: views that fail, and one that takes its time."""

import threading
from typing import Any

from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.idempotency import IdempotentWrites
from catalog.services import upsert_items

ERRORS: dict[str, Exception] = {
    "unforeseen": ZeroDivisionError("a secret of the server"),
    "foreseen": ParseError("no use"),
    "database": OperationalError("server closed the connection unexpectedly"),
}
inside, may_end = threading.Event(), threading.Event()


class WriteThenFail(APIView):
    required_scopes = {"POST": "items:write"}

    def post(self, request: Request, name: str) -> Response:
        upsert_items([{"id": "half-done"}])
        raise ERRORS[name]


def write_then_fail(request: HttpRequest, name: str) -> HttpResponse:
    upsert_items([{"id": "half-done"}])
    raise ERRORS[name]


class LoseConnection(APIView):
    """The database goes away after a write, in the middle of the transaction."""

    required_scopes = {"POST": "items:write"}

    def post(self, request: Request) -> Response:
        upsert_items([{"id": "half-done"}])
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return Response({"done": True})


class AskTooMuch(APIView):
    required_scopes = {"POST": "items:write"}

    def post(self, request: Request) -> Response:
        upsert_items([{"id": "half-done"}])
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
        return Response({"done": True})


class TakeTime(IdempotentWrites):
    required_scopes = {"POST": "items:write"}

    def post(self, request: Request) -> Response:
        inside.set()
        may_end.wait(10)
        upsert_items([{"id": "slow"}])
        return Response({"done": True})


class WithoutScopes(APIView):
    def get(self, request: Request, **kwargs: Any) -> Response:
        return Response({"open": True})


urlpatterns = [
    path("api/v1/fail/<str:name>", WriteThenFail.as_view()),
    path("api/v1/fail-plainly/<str:name>", write_then_fail),
    path("api/v1/lose-connection", LoseConnection.as_view()),
    path("api/v1/too-much", AskTooMuch.as_view()),
    path("api/v1/slow", TakeTime.as_view()),
    path("api/v1/without-scopes", WithoutScopes.as_view()),
    path("", include("config.urls")),
]
handler404 = "api.views.not_found"
