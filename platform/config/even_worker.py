"""A gunicorn worker that shares kept-open connections evenly with the other processes.

Whichever process is quickest accepts a connection, and keeps it for as long as the client does. Clients that connect
while the others are still starting are then all answered by one process for as long as they stay, while the other
cores do nothing.
"""

import mmap
import socket
import time

from gunicorn.workers.gthread import ThreadWorker

# Processes beyond so many share a place; they are then less even, and nothing else.
PLACES = 64
# One that has not been through its loop for so long is being started, stuck or dead; the others don't count it.
STALE_SECONDS = 3.0
# So long a connection is left to a process that has fewer; from then on whoever sees it takes it.
LEFT_SECONDS = 0.02
COMPARED_EVERY_SECONDS = 0.05

# Made before the processes are forked, so that all see the same memory: of each process when it went through its loop
# last, in seconds of the monotonic clock, and in the second half its connections.
_places = memoryview(mmap.mmap(-1, 2 * PLACES * 8)).cast("d")


class EvenWorker(ThreadWorker):
    """Leaves a new connection to a process that has fewer. One that has at least two more than another says
    `Connection: close` with its answers until that is over, and clients connect again."""

    _compared = _left_since = 0.0

    def notify(self) -> None:
        """Called in each turn of the loop."""
        super().notify()
        now, place = time.monotonic(), self.age % PLACES
        # One that is stopping takes no more connections, so nobody leaves it any.
        _places[place], _places[PLACES + place] = now if self.alive else 0.0, self.nr_conns
        if now - self._compared < COMPARED_EVERY_SECONDS:
            return
        self._compared = now
        uneven = self.nr_conns > self._fewest_elsewhere(now) + 1
        # An answer closes its connection where as many as this are kept.
        self.max_keepalived = 0 if uneven else self.cfg.worker_connections - self.cfg.threads

    def accept(self, listener: socket.socket) -> None:
        now = time.monotonic()
        if self.nr_conns > self._fewest_elsewhere(now):
            self._left_since = self._left_since or now
            if now - self._left_since < LEFT_SECONDS:
                time.sleep(0.001)
                return
        self._left_since = 0.0
        super().accept(listener)

    def _fewest_elsewhere(self, now: float) -> float:
        """Connections of the process that has the fewest; infinite where there is no other."""
        there = (
            _places[PLACES + place]
            for place in range(PLACES)
            if place != self.age % PLACES and now - _places[place] < STALE_SECONDS
        )
        return min(there, default=float("inf"))
