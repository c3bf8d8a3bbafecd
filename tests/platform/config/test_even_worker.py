"""The processes of the web server share kept connections evenly, also with one that comes later, and their figures."""

import http.client
import signal
from pathlib import Path

import psutil

from tests.processes import Process, running_web
from tests.waiting import until

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


def requests_counted(client: http.client.HTTPConnection) -> int:
    client.request("GET", "/metrics")
    figures = client.getresponse().read().decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in figures if line.startswith("http_requests_total"))


def test_connections_are_shared_with_a_process_that_comes_later(tmp_path: Path) -> None:
    with running_web(tmp_path / "log", workers=1) as (address, server):
        clients = [http.client.HTTPConnection(address.removeprefix("http://"), timeout=60) for _ in range(CLIENTS)]
        for client in clients:
            ask(client)
        assert connections(server) == [CLIENTS], "there is but one process"

        server.popen.send_signal(signal.SIGTTIN)  # one more, and the clients go on asking meanwhile

        def shared() -> bool:
            for client in clients:
                ask(client)
            return connections(server) == [CLIENTS // 2, CLIENTS // 2]

        until(shared, lambda: f"the processes have {connections(server)} connections", every=0)
        # Whichever is asked counts what all of them answered.
        first, second = [requests_counted(client) for client in (clients[0], clients[-1])]
        assert second == first + 1
