"""Requests per key and minute, counted in Valkey so that all processes share one count.

Far from the limit a process counts for itself and tells Valkey once a second, since asking it each time would cost
every answer a round trip; from HALF of the limit on it asks each time.
"""

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass
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
TELL_SECONDS = 1.0
HALF = 0.5
MOST_KEYS = 10_000

# Without Valkey nobody is throttled: a lost counter must not stop a shop.
_valkey_works = CircuitBreaker(misses=1, probe_seconds=1.0)


@dataclass
class Tally:
    """What this process knows of a key's requests in one minute of the clock: `shared` is what all had made when it
    last asked, `untold` are its own since then."""

    minute: int
    shared: int = 0
    untold: int = 0
    tell_at: float = 0.0

    @property
    def count(self) -> int:
        return self.shared + self.untold


_tallies: dict[Hashable, Tally] = {}
_lock = threading.Lock()


class KeyThrottle(BaseThrottle):
    """At most API_REQUESTS_PER_MINUTE requests of one key in each minute of the clock."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        if not request.auth:
            return True
        return _count(caller_of(request).key_id) <= settings.API_REQUESTS_PER_MINUTE

    def wait(self) -> float:
        return MINUTE - time.time() % MINUTE


def is_within(name: str, limit: int) -> bool:
    """Count a request of whoever `name` stands for, such as an address without a key; whether it is one of the `limit`
    of this minute."""
    return _count(name, limit) <= limit


def _count(key_id: Hashable, limit: int | None = None) -> int:
    """How many requests there were in this minute, this one included, as far as this process knows. `limit` is that of
    a key where none is given."""
    limit = settings.API_REQUESTS_PER_MINUTE if limit is None else limit
    minute = int(time.time() // MINUTE)
    with _lock:
        tally = _tallies.get(key_id)
        if tally is None or tally.minute != minute:
            if len(_tallies) >= MOST_KEYS:
                _tallies.clear()
            tally = _tallies[key_id] = Tally(minute)
        tally.untold += 1
        if time.monotonic() < tally.tell_at and tally.count < HALF * limit:
            return tally.count
        told, tally.untold = tally.untold, 0
        tally.tell_at = time.monotonic() + TELL_SECONDS
    shared = _tell(f"sequitur:requests:{key_id}:{minute}", told)
    tally.shared = shared
    return shared


def _tell(key: str, requests: int) -> int:
    """Add to the count of all processes, and return it; 0 when Valkey is away."""
    if not _valkey_works.allows():
        return 0
    try:
        with valkey().pipeline(transaction=False) as pipeline:
            pipeline.incrby(key, requests)
            pipeline.expire(key, 2 * MINUTE)
            count = int(pipeline.execute()[0])
    except VALKEY_GONE as error:
        _valkey_works.failed()
        log.warning("requests_not_counted", reason=str(error))
        return 0
    _valkey_works.succeeded()
    return count
