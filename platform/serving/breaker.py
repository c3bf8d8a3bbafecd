"""A circuit breaker: callers of something dead stop waiting for it, and find out soon when it is back."""

import threading
import time


class CircuitBreaker:
    """Opens after `misses` failures in a row; while open, one caller per `probe_seconds` may try. Thread-safe."""

    def __init__(self, *, misses: int, probe_seconds: float) -> None:
        self.misses = misses
        self.probe_seconds = probe_seconds
        self._lock = threading.Lock()
        self._failures = 0
        self._next_probe = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self.misses

    def allows(self) -> bool:
        """Whether this caller may try now; while open, saying yes uses up the probe."""
        with self._lock:
            if not self.is_open:
                return True
            now = time.monotonic()
            if now < self._next_probe:
                return False
            self._next_probe = now + self.probe_seconds
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            if self._failures == self.misses:
                self._next_probe = time.monotonic() + self.probe_seconds
