"""Objects that a process makes once and all its threads share."""

import threading
from collections.abc import Callable
from functools import cache
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Once(Generic[Made]):
    """Decorates a function without arguments: one call a process, also when several threads are the first together.

    `functools.cache` calls it in each of these threads and keeps one result. A Redis client that is dropped like this
    closes its connections when it is collected, in the middle of another thread's command.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = cache(make)
        self._lock = threading.Lock()

    def __call__(self) -> Made:
        with self._lock:
            return self._make()

    def cache_clear(self) -> None:
        """The next call makes it anew."""
        self._make.cache_clear()
