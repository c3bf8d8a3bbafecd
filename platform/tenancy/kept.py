"""What a process remembers of a tenant for a moment, so that a busy one asks the database once in it."""

import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

from tenancy.scope import current_tenant_id

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by key, each read at most once in `seconds` for a tenant; at most `most` of them, the oldest go first.

    While one thread reads a value anew the others go on with the one before. Callers share the values and must not
    change them.
    """

    def __init__(self, seconds: float, *, most: int = 10_000) -> None:
        self.seconds = seconds
        self.most = most
        self._values: dict[tuple[int, Hashable], tuple[float, Value]] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """The tenant's value as it was at most `seconds` ago. What `read` raises is raised and not remembered."""
        place = (current_tenant_id(), key)
        before = self._values.get(place)
        if before is not None:
            read_at, value = before
            if monotonic() - read_at < self.seconds:
                return value
            self._put(place, value)
        try:
            value = read()
        except BaseException:
            self.forget(key)
            raise
        self._put(place, value)
        return value

    def forget(self, key: Hashable) -> None:
        """The tenant's value is read again."""
        with self._lock:
            self._values.pop((current_tenant_id(), key), None)

    def clear(self) -> None:
        """Everything of all tenants is read again."""
        with self._lock:
            self._values.clear()

    def _put(self, place: tuple[int, Hashable], value: Value) -> None:
        with self._lock:
            self._values.pop(place, None)
            self._values[place] = (monotonic(), value)
            while len(self._values) > self.most:
                self._values.pop(next(iter(self._values)))
