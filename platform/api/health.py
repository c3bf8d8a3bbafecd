"""Probes: is the process alive, and can it serve?"""

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from api.valkey import VALKEY_GONE, valkey


def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives; it asks nobody else, so a lost database does not get the process restarted."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when requests can be served, else 503 with the reasons."""
    reasons = [reason for reason in (_database_problem(), _valkey_problem()) if reason]
    if reasons:
        return JsonResponse({"status": "unavailable", "reasons": reasons}, status=503, headers={"Retry-After": "2"})
    return JsonResponse({"status": "ok"})


def _database_problem() -> str | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return _migration_problem()
    except Error:
        return "database: does not answer"


_migrated = False


def _migration_problem() -> str | None:
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            return f"migrations: {len(missing)} not applied; run `manage.py migrate`"
        _migrated = True
    return None


def _valkey_problem() -> str | None:
    try:
        valkey().ping()
    except VALKEY_GONE:
        return "valkey: does not answer"
    return None
