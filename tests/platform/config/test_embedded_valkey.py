"""The embedded Valkey asks for its password and keeps what it acknowledged when it is killed."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import redis
from celery import Celery

from config.embedded.runtime import prepare_place
from config.embedded.valkey import ensure_valkey, stop_valkey, valkey_addresses


def kill(client: redis.Redis) -> None:
    os.kill(client.info("server")["process_id"], signal.SIGKILL)


def test_killed_server_is_back_with_every_acknowledged_write(home: Path) -> None:
    client = redis.Redis.from_url(ensure_valkey(home))
    for number in range(2000):
        client.rpush("written", number)

    kill(client)
    started = time.monotonic()
    ensure_valkey(home)

    assert time.monotonic() - started < 5
    assert client.llen("written") == 2000


def test_stop_then_start_keeps_the_data(home: Path) -> None:
    client = redis.Redis.from_url(ensure_valkey(home))
    client.set("kept", "yes")

    stop_valkey(home)
    with pytest.raises(redis.ConnectionError):
        redis.Redis.from_url(valkey_addresses(prepare_place(home))["VALKEY_URL"], retry=None).ping()

    ensure_valkey(home)
    assert client.get("kept") == b"yes"


def test_no_password_or_a_wrong_one_is_refused(home: Path) -> None:
    ensure_valkey(home)
    socket = prepare_place(home).sockets / "valkey.sock"

    for address in (f"unix://{socket}", f"unix://:wrong@{socket}"):
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(address, retry=None).ping()


def test_celery_reaches_the_broker_and_our_own_keys_lie_apart(home: Path) -> None:
    url = ensure_valkey(home)
    broker = valkey_addresses(prepare_place(home))["CELERY_BROKER_URL"]

    app = Celery()
    with app.connection_for_write(broker) as connection:
        app.send_task("greet", queue="letters", connection=connection)

    assert redis.Redis.from_url(url.replace("db=1", "db=0")).llen("letters") == 1
    assert redis.Redis.from_url(url).llen("letters") == 0


def test_processes_that_start_it_at_once_share_one_server(fresh_home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        urls = pool.map(ensure_valkey, [fresh_home] * 3)

    assert len(set(urls)) == 1
    assert redis.Redis.from_url(urls[0]).ping()
    assert (fresh_home / "servers/valkey/server.log").read_text().count("Ready to accept connections") == 1
