"""The embedded Valkey: append-only file, private socket, password; keeps acknowledged writes over a kill -9."""

from pathlib import Path
from urllib.parse import quote

import redis

from config.embedded.binaries import find_valkey, reachable_by
from config.embedded.runtime import (
    EmbeddedServerError,
    Place,
    Presence,
    keep_log_small,
    locked,
    make_private_folder,
    prepare_place,
    run_as,
    start_until_answering,
    wait_until_gone,
    write_private,
)

SOCKET = "valkey.sock"
# The broker's messages and our own keys lie in two databases, so that neither can empty the other.
BROKER_DATABASE = 0
CACHE_DATABASE = 1
CONFIGURATION = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize yes
pidfile "{folder}/valkey.pid"
logfile "{folder}/server.log"
"""


def valkey_addresses(place: Place) -> dict[str, str]:
    """The address for redis-py and the one for Celery, whose transport spells a socket differently."""
    password = place.passwords["valkey"]
    socket = quote(str(place.sockets / SOCKET))
    return {
        "VALKEY_URL": f"unix://:{password}@{socket}?db={CACHE_DATABASE}",
        "CELERY_BROKER_URL": f"redis+socket://:{password}@{socket}?virtual_host={BROKER_DATABASE}",
    }


def ensure_valkey(home: Path) -> str:
    """Start the server if it does not answer, and return its address for redis-py.

    Raises EmbeddedServerError when it cannot start.
    """
    place = prepare_place(home)
    url = valkey_addresses(place)["VALKEY_URL"]
    if _answers(url):
        return url
    folder = place.folder / "valkey"
    make_private_folder(folder, place.account)
    with locked(folder):
        programs = reachable_by(place.account, find_valkey(), place.folder / "programs")
        log = folder / "server.log"
        keep_log_small(log)
        start_until_answering(
            "Valkey",
            answering=lambda: _answers(url),
            presence=Presence(folder / "alive", place.account),
            start=lambda descriptor: _start(place, folder, programs, descriptor),
            log=log,
        )
    return url


def stop_valkey(home: Path) -> None:
    """End the server after it has written everything to disk."""
    place = prepare_place(home)
    folder = place.folder / "valkey"
    presence = Presence(folder / "alive", place.account)
    if not folder.exists():
        return
    with locked(folder):
        if not presence.alive():
            return
        client = redis.Redis.from_url(valkey_addresses(place)["VALKEY_URL"], socket_timeout=30)
        client.shutdown(nosave=True)
        wait_until_gone(presence)


def _answers(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=None)
    try:
        return bool(client.ping())
    except redis.AuthenticationError as error:
        raise EmbeddedServerError(
            "Valkey refuses the password in passwords.json: restore the file it was started with, or end that server"
        ) from error
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    finally:
        client.close()


def _start(place: Place, folder: Path, programs: Path, descriptor: int) -> None:
    settings = {"socket": place.sockets / SOCKET, "password": place.passwords["valkey"], "folder": folder}
    configuration = folder / "valkey.conf"
    write_private(configuration, CONFIGURATION.format(**settings), place.account)
    run_as(place.account, [programs / "valkey-server", configuration], cwd=folder, keep=[descriptor])
