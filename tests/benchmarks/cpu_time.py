"""CPU time by group of processes: what a request costs, whoever else uses the machine meanwhile."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil
from django.db import connection


@contextmanager
def cpu_seconds(groups: Mapping[str, int]) -> Iterator[dict[str, float]]:
    """Seconds that groups of processes use while the body runs, each named by the id of its first process, which has
    started the others; `clients` is this process alone. Filled in when the body ends."""
    used: dict[str, float] = {}
    before, clients = {name: _used(process_id) for name, process_id in groups.items()}, time.process_time()
    yield used
    used |= {name: _used(process_id) - before[name] for name, process_id in groups.items()}
    used["clients"] = time.process_time() - clients


def postgres_process_id() -> int:
    """Of the server behind this process's connection, where both are on one machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    return int(psutil.Process(backend).ppid())


def _used(process_id: int) -> float:
    """Of a process and all that it started, those that it has waited for included."""
    first = psutil.Process(process_id)
    times = [each.cpu_times() for each in (first, *first.children(recursive=True))]
    return sum(each.user + each.system + each.children_user + each.children_system for each in times)
