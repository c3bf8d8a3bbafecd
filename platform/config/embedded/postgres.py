"""The embedded PostgreSQL: password checked, private socket, three roles without superpowers, back after kill -9."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import pq, sql

from config.embedded.binaries import find_postgres, reachable_by
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

DATABASE = "sequitur"
EXTENSIONS = ("vector", "pg_trgm")
# None may bypass row-level security; the owner makes test databases besides running migrations.
ROLES = {"owner": "CREATEDB", "app": "NOCREATEDB", "console": "NOCREATEDB"}
# Written at each start; an operator overrides it with ALTER SYSTEM. fsync stays on.
CONFIGURATION = """\
listen_addresses = ''
unix_socket_directories = '"{sockets}"'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 256MB
max_wal_size = 2GB
wal_compression = on
password_encryption = scram-sha-256
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
# Failed statements carry customers' data, so the log keeps the error and not the statement.
log_min_error_statement = panic
"""


@dataclass(frozen=True)
class PostgresAddress:
    """Connection strings of the three roles, and of the superuser that made them."""

    app: str
    owner: str
    console: str
    superuser: str

    def variables(self) -> dict[str, str]:
        return {"DATABASE_URL": self.app, "DATABASE_OWNER_URL": self.owner, "DATABASE_CONSOLE_URL": self.console}


def postgres_addresses(place: Place) -> PostgresAddress:
    def address(user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{place.passwords[password]}@/{database}?host={quote(str(place.sockets), safe='')}"

    return PostgresAddress(
        app=address("sequitur_app", "app", DATABASE),
        owner=address("sequitur_owner", "owner", DATABASE),
        console=address("sequitur_console", "console", DATABASE),
        superuser=address("postgres", "superuser", "postgres"),
    )


def ensure_postgres(home: Path) -> PostgresAddress:
    """Make the cluster and start it if need be. Any number of processes may call it at once; one server runs.

    Raises EmbeddedServerError when it cannot start.
    """
    place = prepare_place(home)
    folder = place.folder / "postgres"
    address = postgres_addresses(place)
    ready = folder / "ready"
    if ready.exists() and _answers(place):
        return address
    make_private_folder(folder, place.account)
    with locked(folder):
        programs = reachable_by(place.account, find_postgres(), place.folder / "programs")
        if not (folder / "data").exists():
            _make_cluster(place, folder, programs)
        log = folder / "server.log"
        keep_log_small(log)
        start_until_answering(
            "PostgreSQL",
            answering=lambda: _answers(place),
            presence=Presence(folder / "alive", place.account),
            start=lambda descriptor: _start(place, folder, programs, descriptor),
            log=log,
        )
        if not ready.exists():
            _make_roles(place, address)
            ready.touch()
    return address


def stop_postgres(home: Path) -> None:
    """End the server and every connection to it; the data is safe on disk when this returns."""
    place = prepare_place(home)
    folder = place.folder / "postgres"
    presence = Presence(folder / "alive", place.account)
    if not folder.exists():
        return
    with locked(folder):
        if not presence.alive():
            return
        programs = reachable_by(place.account, find_postgres(), place.folder / "programs")
        command: list[str | Path] = [
            programs / "pg_ctl",
            "stop",
            "-D",
            folder / "data",
            "-m",
            "fast",
            "-w",
            "-t",
            "600",
        ]
        run_as(place.account, command, cwd=folder)
        wait_until_gone(presence)


def _answers(place: Place) -> bool:
    conninfo = f"host='{_quoted(place.sockets)}' dbname=postgres user=postgres connect_timeout=5"
    return pq.PGconn.ping(conninfo.encode()) == pq.Ping.OK


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "\\'")


def _make_cluster(place: Place, folder: Path, programs: Path) -> None:
    unfinished = folder / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    password = folder / "superuser-password"
    write_private(password, place.passwords["superuser"], place.account)
    command: list[str | Path] = [
        programs / "initdb",
        "-D",
        unfinished,
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        "--encoding=UTF8",
    ]
    command += [f"--pwfile={password}", "--no-locale"]
    major = int(run_as(place.account, [programs / "initdb", "--version"], cwd=folder).split()[2].split(".")[0])
    if major >= 17:
        # Sorted by code point like C, but upper and lower case follow Unicode, so that search ignores the case of É.
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        run_as(place.account, command, cwd=folder)
    finally:
        password.unlink()
    unfinished.rename(folder / "data")


def _start(place: Place, folder: Path, programs: Path, descriptor: int) -> None:
    data = folder / "data"
    sockets = str(place.sockets).replace("'", "''")
    write_private(data / "postgresql.conf", CONFIGURATION.format(sockets=sockets), place.account)
    _drop_stale_lock(data / "postmaster.pid")
    _drop_stale_lock(place.sockets / ".s.PGSQL.5432.lock")
    # pg_ctl leaves the server to init as its parent, so a killed one is no zombie of ours.
    command: list[str | Path] = [programs / "pg_ctl", "start", "-W", "-D", data, "-l", folder / "server.log"]
    run_as(place.account, command, cwd=folder, keep=[descriptor])


def _drop_stale_lock(lock: Path) -> None:
    """Remove the lock of a killed server whose process id now belongs to a zombie or to another program.

    PostgreSQL itself removes it when no process has that id, and would refuse to start otherwise.
    """
    try:
        process = psutil.Process(int(lock.read_text().split()[0]))
        if process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE:
            return
    except (FileNotFoundError, psutil.NoSuchProcess, ValueError, IndexError):
        return
    lock.unlink()


def _make_roles(place: Place, address: PostgresAddress) -> None:
    """Roles, database and extensions; repeatable, because a crash may have cut an earlier call short."""
    try:
        server = psycopg.connect(address.superuser, autocommit=True)
    except psycopg.OperationalError as error:
        raise EmbeddedServerError(
            f"{place.home}/passwords.json does not fit the data in {place.folder}: restore the one it was made with"
        ) from error
    with server:
        for role, attributes in ROLES.items():
            name = sql.Identifier(f"sequitur_{role}")
            if not server.execute("SELECT FROM pg_roles WHERE rolname = %s", [f"sequitur_{role}"]).rowcount:
                server.execute(sql.SQL("CREATE ROLE {}").format(name))
            server.execute(
                sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE {} PASSWORD {}").format(
                    name, sql.SQL(attributes), sql.Literal(place.passwords[role])
                )
            )
        # In template1, so that test databases get them too: their owner may not create `vector`.
        _make_extensions(address.superuser, "template1")
        if not server.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount:
            server.execute(sql.SQL("CREATE DATABASE {} OWNER sequitur_owner").format(sql.Identifier(DATABASE)))
        _make_extensions(address.superuser, DATABASE)


def _make_extensions(superuser: str, database: str) -> None:
    with psycopg.connect(superuser, dbname=database, autocommit=True) as connection:
        found = connection.execute(
            "SELECT name FROM pg_available_extensions WHERE name = ANY(%s)", [list(EXTENSIONS)]
        ).fetchall()
        for (name,) in found:
            connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(name)))
