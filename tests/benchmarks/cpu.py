"""CPU time by who uses it: on a machine that others use too, it says more than latency."""

import time
from dataclasses import dataclass, field
from typing import Any

import psutil
from django.db import connection

from tests.processes import Process


@dataclass
class CpuWatch:
    """CPU seconds between `start` and `stop`: of the server's processes (of `also` beside them, such as a worker), of
    the database's, where it runs here, and of the clients, which are this process."""

    server: Process
    also: Process | None = None
    used: dict[str, float] = field(default_factory=dict)

    def start(self) -> None:
        self._before = self._now()

    def stop(self) -> None:
        self.used = {name: seconds - self._before.get(name, 0.0) for name, seconds in self._now().items()}

    def per_request(self, requests: int) -> dict[str, Any]:
        """Milliseconds of each group, by name."""
        return {f"{name}_cpu_ms": 1000 * seconds / requests for name, seconds in self.used.items()}

    def _now(self) -> dict[str, float]:
        groups = {"server": _family(self.server.popen.pid), "database": _database()}
        if self.also is not None:
            groups["worker"] = _family(self.also.popen.pid)
        return {name: sum(map(_seconds, group)) for name, group in groups.items()} | {"clients": time.process_time()}


def _family(process_id: int) -> list[psutil.Process]:
    parent = psutil.Process(process_id)
    return [parent, *parent.children(recursive=True)]


def _database() -> list[psutil.Process]:
    """The backends and helpers of the database; none where it runs on another machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = int(cursor.fetchone()[0])
    try:
        parent = psutil.Process(backend).parent()
    except psutil.NoSuchProcess:
        return []
    return [] if parent is None or parent.name() != "postgres" else parent.children()


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
