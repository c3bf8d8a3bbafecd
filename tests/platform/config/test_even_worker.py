"""Kept connections are shared evenly by the processes of the web server, also with one that comes later."""

import http.client
import time
from pathlib import Path

import psutil

from tests.processes import Process, running_web

CLIENTS = 8


def connections(server: Process) -> list[int]:
    """Open ones of each process."""
    return sorted(
        sum(each.status == psutil.CONN_ESTABLISHED for each in process.net_connections("tcp"))
        for process in psutil.Process(server.popen.pid).children()
    )


def ask(client: http.client.HTTPConnection) -> None:
    client.request("GET", "/healthz")
    response = client.getresponse()
    response.read()
    assert response.status == 200


def test_connections_are_shared_with_a_process_that_comes_later(tmp_path: Path) -> None:
    with running_web(tmp_path / "log", workers=2) as (address, server):
        one, _ = psutil.Process(server.popen.pid).children()
        one.terminate()
        one.wait(30)
        clients = [http.client.HTTPConnection(address.removeprefix("http://"), timeout=30) for _ in range(CLIENTS)]
        for client in clients:
            ask(client)
        assert max(connections(server)) == CLIENTS, "the process that is left has all of them"

        # gunicorn starts another, and the clients go on asking meanwhile.
        deadline = time.monotonic() + 120
        while connections(server) != [CLIENTS // 2, CLIENTS // 2]:
            assert time.monotonic() < deadline, f"the processes have {connections(server)} connections"
            for client in clients:
                ask(client)
