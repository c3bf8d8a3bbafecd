"""Which database role the test process acts as."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

DROP_SECONDS = 60.0


@contextmanager
def connected_as(process: str) -> Iterator[None]:
    """Reconnect the default connection as `owner`, `console` or `app`."""
    parts = conninfo_to_dict(settings.DATABASE_URLS[process])
    before = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD")}
    connection.close()
    connection.settings_dict.update(USER=parts["user"], PASSWORD=parts.get("password", ""))
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


def recreate_database() -> None:
    """Drop and create the test database as the owner."""
    url = settings.DATABASE_URLS["owner"]
    name = conninfo_to_dict(url)["dbname"]
    with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as server:
        _drop_database(server, name)
        server.execute(f'CREATE DATABASE "{name}"')


def vacuum() -> None:
    """What autovacuum does within a minute, for a benchmark that starts at once: after a load, and again after the
    first writes, since for a table that was empty then the database goes on to plan as if it stayed so."""
    with connected_as("owner"), connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


@contextmanager
def closed_to_newcomers(session: int) -> Iterator[None]:
    """End a session of the test database (the id of its backend), which lets nobody in until the block ends."""
    url = settings.DATABASE_URLS["owner"]
    name = conninfo_to_dict(url)["dbname"]
    with (
        psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as server,
        psycopg.connect(settings.DATABASE_URLS["app"], autocommit=True) as other,
    ):
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [session])
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def _drop_database(server: psycopg.Connection, name: str) -> None:
    """Autovacuum may be at work in the old database, and only a superuser may end it; it is soon done by itself."""
    deadline = time.monotonic() + DROP_SECONDS
    while True:
        try:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        except psycopg.errors.InsufficientPrivilege:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return
