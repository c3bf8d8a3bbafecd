"""How many streams this process holds open: each keeps one of its threads until a worker has written."""

import weakref
from collections import Counter
from collections.abc import Generator, Iterator
from threading import RLock

from django.conf import settings
from rest_framework.exceptions import Throttled

from api.errors import Unavailable

RETRY_AFTER = 2  # seconds

_open: Counter[int] = Counter()
# A stream that nobody closed may be collected while this thread holds it.
_lock = RLock()


class OpenStream:
    """Events that count as a stream of the tenant until they are closed. Raises Throttled where the tenant holds
    half of REPLY_STREAMS in this process already, and Unavailable where all tenants hold all of them."""

    def __init__(self, tenant_id: int, events: Generator[bytes, None, None]) -> None:
        self.events = events
        instead = "ask without a stream and read GET replies/{id}, or come again in a moment"
        with _lock:
            if _open[tenant_id] >= max(1, settings.REPLY_STREAMS // 2):
                raise Throttled(wait=RETRY_AFTER, detail=f"too many streams are open; {instead}.")
            if _open.total() >= settings.REPLY_STREAMS:
                raise Unavailable(f"too many streams are open; {instead}", retry_after=RETRY_AFTER)
            _open[tenant_id] += 1
        # Also where nobody closes it.
        self._end = weakref.finalize(self, _ended, tenant_id)

    def __iter__(self) -> Iterator[bytes]:
        return self.events

    def close(self) -> None:
        self.events.close()
        self._end()


def _ended(tenant_id: int) -> None:
    with _lock:
        _open[tenant_id] -= 1
