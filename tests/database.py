"""Which database role the test process acts as, and the database that it acts on."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

ROOT = Path(__file__).parent.parent
DROP_SECONDS = 60.0
# What the schema is made of: as long as it stays, so does a database that was migrated once.
SCHEMA = ("**/migrations/*.py", "**/operations.py", "**/models.py", "**/text_analysis.py", "**/vectors.py")


# Of the main thread, by database and role.
_kept: dict[tuple[str, str], BaseDatabaseWrapper] = {}


@contextmanager
def connected_as(process: str) -> Iterator[None]:
    """The default connection acts as `owner`, `console` or `app`, and so do threads that begin in the block.

    The main thread keeps one connection of each role: a new one costs as much as thirty statements, and the database
    then reads its catalog anew.
    """
    parts = conninfo_to_dict(settings.DATABASE_URLS[process])
    shared = connections.settings[DEFAULT_DB_ALIAS]
    before = connections[DEFAULT_DB_ALIAS]
    role_before = {name: shared[name] for name in ("USER", "PASSWORD")}
    shared.update(USER=parts["user"], PASSWORD=parts.get("password", ""))
    connections[DEFAULT_DB_ALIAS] = database = _connection(shared)
    try:
        yield
    finally:
        shared.update(role_before)
        connections[DEFAULT_DB_ALIAS] = before
        if database not in _kept.values():
            database.close()


def _connection(shared: dict[str, Any]) -> BaseDatabaseWrapper:
    made = connections.create_connection(DEFAULT_DB_ALIAS)
    made.settings_dict = shared | {}
    if threading.current_thread() is threading.main_thread():
        return _kept.setdefault((shared["NAME"], shared["USER"]), made)
    return made


def recreate_database() -> None:
    """Drop the test database and make it anew as the owner, migrated.

    Whoever comes first migrates. Other processes of the run copy what it made, and so do later runs until the schema
    changes, since migrating takes longer than most tests.
    """
    url = settings.DATABASE_URLS["owner"]
    name = conninfo_to_dict(url)["dbname"]
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    template = f"{name.removesuffix(f'_{worker}')}_migrated"
    with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(hashtext(%s))", [template])
        _drop_database(server, name)
        if _comment(server, template) != _schema():
            _drop_database(server, template)
            server.execute(f'CREATE DATABASE "{template}"')
            _migrate(template)
            server.execute(SQL("COMMENT ON DATABASE {} IS {}").format(Identifier(template), _schema()))
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


def _migrate(database: str) -> None:
    """As the owner; a copy keeps owners and grants, since roles are the server's."""
    before = connection.settings_dict["NAME"]
    with connected_as("owner"):
        connection.settings_dict["NAME"] = database
        try:
            call_command("migrate", verbosity=0)
        finally:
            connection.close()
            connection.settings_dict["NAME"] = before


@cache
def _schema() -> str:
    """A hash of what the schema is made of."""
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    for pattern in SCHEMA:
        for part in ("platform", "apps"):
            for file in sorted((ROOT / part).glob(pattern)):
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()


def _comment(server: psycopg.Connection, database: str) -> str | None:
    found = server.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [database]
    ).fetchone()
    return found[0] if found else None


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
