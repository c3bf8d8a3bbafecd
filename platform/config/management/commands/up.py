import os
import socket
import sys
import threading
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.embedded import EmbeddedServerError
from config.supervisor import CannotStart, Supervisor, end_recorded, only_supervisor


class Command(BaseCommand):
    help = "Run the whole suite in the foreground: servers, API, console, workers, beat. Ctrl-C ends all of it."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=port, default=8000, help="port of the API (default 8000)")
        parser.add_argument("--console-port", type=port, default=8001, help="port of the console (default 8001)")

    def handle(self, *args: Any, **options: Any) -> None:
        bind, ports = options["bind"], (options["port"], options["console_port"])
        home = Path(settings.VAR)
        try:
            with only_supervisor(home):
                end_recorded(home, supervisor=False)
                for number, option in zip(ports, ("--port", "--console-port"), strict=True):
                    check_free(bind, number, option)
                host = "127.0.0.1" if bind == "0.0.0.0" else bind
                supervisor = Supervisor(
                    root=settings.ROOT,
                    home=home,
                    environment=process_environment(bind, *ports),
                    ready_urls=[f"http://{host}:{ports[0]}/healthz", f"http://{host}:{ports[1]}/"],
                    say=Prefixed(),
                )
                supervisor.run()
        except (CannotStart, EmbeddedServerError) as error:
            raise CommandError(str(error)) from error


def port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ArgumentTypeError(f"'{text}' is not a port; give a number from 1 to 65535")
    return int(text)


def check_free(bind: str, number: int, option: str) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((bind, number))
        except OSError as error:
            raise CommandError(
                f"cannot listen on {bind}:{number} ({error.strerror}); choose another {option}"
            ) from error


def process_environment(bind: str, api_port: int, console_port: int) -> dict[str, str]:
    """What the Procfile reads, with thread and process counts that fit this machine's cores."""
    cores = os.cpu_count() or 1
    defaults = {"WEB_CONCURRENCY": str(min(4, max(2, cores // 2))), "TRAIN_THREADS": str(max(1, cores // 2))}
    addresses = {"BIND": bind, "PORT": str(api_port), "CONSOLE_PORT": str(console_port), "PYTHONUNBUFFERED": "1"}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {name: value for name, value in os.environ.items() if value and name != "SEQUITUR_PROCESS"}
    return defaults | environment | addresses | {"PATH": programs}


class Prefixed:
    """Prints one line at a time with the name of the process that wrote it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, name: str, line: str) -> None:
        with self.lock:
            print(f"{name:<8}| {line}", flush=True)
