"""Requests per key and minute, counted in Valkey so that all processes share one count."""

import time
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from api.authentication import caller_of
from api.valkey import VALKEY_GONE, valkey
from serving.breaker import CircuitBreaker

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module while it loads

log = structlog.get_logger(__name__)

MINUTE = 60

# Without Valkey nobody is throttled: a lost counter must not stop a shop.
_valkey_works = CircuitBreaker(misses=1, probe_seconds=1.0)


class KeyThrottle(BaseThrottle):
    """At most API_REQUESTS_PER_MINUTE requests of one key in each minute of the clock."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        if not request.auth:
            return True
        count = _count(f"sequitur:requests:{caller_of(request).key_id}:{int(time.time() // MINUTE)}")
        return count <= settings.API_REQUESTS_PER_MINUTE

    def wait(self) -> float:
        return MINUTE - time.time() % MINUTE


def _count(key: str) -> int:
    """How many requests there were, this one included; 0 when Valkey is away."""
    if not _valkey_works.allows():
        return 0
    try:
        with valkey().pipeline(transaction=False) as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, 2 * MINUTE)
            count = int(pipeline.execute()[0])
    except VALKEY_GONE as error:
        _valkey_works.failed()
        log.warning("requests_not_counted", reason=str(error))
        return 0
    _valkey_works.succeeded()
    return count
