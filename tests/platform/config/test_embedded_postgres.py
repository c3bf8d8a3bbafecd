"""The embedded PostgreSQL is safe to start by anybody, refuses wrong passwords, and survives being killed."""

import json
import multiprocessing
import os
import pwd
import shutil
import stat
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from config.embedded.binaries import find_postgres
from config.embedded.postgres import PostgresAddress, ensure_postgres, postgres_addresses, stop_postgres
from config.embedded.runtime import Account, EmbeddedServerError, may_enter, prepare_place
from tests.homes import kill_postmaster, remove_home

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")


def value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def write(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def test_first_start_makes_three_roles_without_superpowers(home: Path) -> None:
    address = ensure_postgres(home)

    roles = "SELECT json_object_agg(rolname, rolcreatedb) FROM pg_roles WHERE rolname LIKE 'sequitur%' "
    powers = "AND NOT rolsuper AND NOT rolbypassrls AND NOT rolcreaterole AND rolcanlogin"
    assert value(address.app, roles + powers) == {
        "sequitur_owner": True,
        "sequitur_app": False,
        "sequitur_console": False,
    }
    assert value(address.app, "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member "
                              "WHERE r.rolname LIKE 'sequitur%'") == 0  # fmt: skip
    assert value(address.console, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'sequitur'") == (
        "sequitur_owner"
    )
    assert value(address.app, "SHOW fsync") == "on"
    assert value(address.app, "SHOW listen_addresses") == ""
    assert value(address.app, "SELECT upper('é') = 'É'") is True


def test_databases_made_by_the_owner_have_the_extensions(home: Path) -> None:
    address = ensure_postgres(home)
    write(address.owner, "CREATE DATABASE another")

    another = psycopg.conninfo.make_conninfo(address.owner, dbname="another")
    assert value(another, "SELECT '[1,2]'::vector <-> '[1,4]'::vector") == 2.0
    assert value(another, "SELECT similarity('sequitur', 'sequitor') > 0.4") is True


def test_wrong_password_and_other_users_are_refused(home: Path) -> None:
    address = ensure_postgres(home)

    for role in ("sequitur_app", "sequitur_owner", "postgres"):
        wrong = psycopg.conninfo.make_conninfo(address.app, user=role, password="wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
    assert stat.S_IMODE((home / "passwords.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "servers").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "servers/sockets").stat().st_mode) == 0o700


def test_killed_server_is_back_with_its_data(home: Path) -> None:
    address = ensure_postgres(home)
    write(address.owner, "CREATE TABLE kept_over_kill AS SELECT 42 AS answer")
    idle = psycopg.connect(address.owner)

    kill_postmaster(home)
    started = time.monotonic()
    assert ensure_postgres(home) == address

    assert time.monotonic() - started < 30
    assert value(address.owner, "SELECT answer FROM kept_over_kill") == 42
    idle.close()


def test_stop_then_start_keeps_the_data(home: Path) -> None:
    address = ensure_postgres(home)
    write(address.owner, "CREATE TABLE kept AS SELECT 42 AS answer")

    stop_postgres(home)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address.owner)

    ensure_postgres(home)
    assert value(address.owner, "SELECT answer FROM kept") == 42


def test_process_id_of_a_killed_server_may_belong_to_another_program(home: Path) -> None:
    address = ensure_postgres(home)
    account = prepare_place(home).account
    lock = home / "servers/postgres/data/postmaster.pid"
    remaining = lock.read_text().split("\n", 1)[1]
    kill_postmaster(home)
    other = subprocess.Popen(["sleep", "60"], user=account.uid if os.geteuid() == 0 else None)
    try:
        lock.write_text(f"{other.pid}\n{remaining}")
        ensure_postgres(home)
        assert value(address.app, "SELECT 1") == 1
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_crash_before_the_roles_were_made_heals(fresh_home: Path) -> None:
    address = ensure_postgres(fresh_home)
    write(address.superuser, "DROP DATABASE sequitur")
    for role in ("owner", "app", "console"):
        write(address.superuser, f"DROP ROLE sequitur_{role}")
    (fresh_home / "servers/postgres/ready").unlink()
    kill_postmaster(fresh_home)

    ensure_postgres(fresh_home)

    assert value(address.app, "SELECT current_user") == "sequitur_app"


def test_crash_within_initdb_heals(fresh_home: Path) -> None:
    place = prepare_place(fresh_home)
    unfinished = place.folder / "postgres" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    os.chown(unfinished.parent, place.account.uid, place.account.gid)

    address = ensure_postgres(fresh_home)

    assert value(address.app, "SELECT 1") == 1
    assert not unfinished.exists()


def test_processes_that_start_it_at_once_share_one_server(fresh_home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        addresses: list[PostgresAddress] = pool.map(ensure_postgres, [fresh_home] * 3)

    assert len(set(addresses)) == 1
    assert value(addresses[0].app, "SELECT 1") == 1
    assert (fresh_home / "servers/postgres/server.log").read_text().count("starting PostgreSQL") == 1


def test_a_deep_checkout_gets_a_private_socket_folder_with_a_short_path(home: Path) -> None:
    deep = home / ("deep" * 15) / ("er" * 30)
    deep.mkdir(parents=True)
    sockets = prepare_place(deep).sockets
    try:
        address = ensure_postgres(deep)
        assert value(address.app, "SELECT 1") == 1
        assert len(str(sockets)) < 90
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    finally:
        remove_home(deep)
        shutil.rmtree(sockets)


@as_root
def test_a_socket_folder_that_somebody_else_made_is_refused(home: Path) -> None:
    deep = home / ("deep" * 15) / ("er" * 30)
    deep.mkdir(parents=True)
    sockets = prepare_place(deep).sockets
    try:
        os.chown(sockets, 12345, 12345)
        with pytest.raises(EmbeddedServerError, match="made by another user"):
            prepare_place(deep)
    finally:
        shutil.rmtree(sockets)


@as_root
def test_root_never_opens_a_private_checkout_to_others(home: Path) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)
    inside = private / "var"
    try:
        address = ensure_postgres(inside)

        assert value(address.app, "SELECT 1") == 1
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert not (inside / "servers").resolve().is_relative_to(home)
        kill_postmaster(inside)
        ensure_postgres(inside)
        assert value(address.app, "SELECT 1") == 1
    finally:
        remove_home(inside)


def ensure_postgres_as(user: int, group: int, home: Path) -> PostgresAddress:
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    return ensure_postgres(home)


@as_root
def test_an_ordinary_user_starts_a_server_of_their_own(home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    if not may_enter(Account(nobody.pw_uid, nobody.pw_gid), find_postgres().folder):
        pytest.skip("the virtual environment is private to root, so nobody else can run what is in it")
    own = home / "own"
    own.mkdir()
    os.chown(own, nobody.pw_uid, nobody.pw_gid)

    with multiprocessing.get_context("fork").Pool(1) as pool:
        address = pool.apply(ensure_postgres_as, (nobody.pw_uid, nobody.pw_gid, own))

    assert value(address.app, "SELECT current_user") == "sequitur_app"
    assert (own / "servers").stat().st_uid == nobody.pw_uid
    # Root may use it too: the server keeps running as the user whose home it is.
    kill_postmaster(own)
    ensure_postgres(own)
    assert (own / "servers/postgres/data/postmaster.pid").stat().st_uid == nobody.pw_uid
    remove_home(own)


def test_lost_or_foreign_passwords_are_named(home: Path) -> None:
    ensure_postgres(home)
    passwords = home / "passwords.json"
    original = passwords.read_text()

    passwords.unlink()
    with pytest.raises(EmbeddedServerError, match=r"passwords\.json is gone"):
        ensure_postgres(home)

    passwords.write_text(json.dumps(dict.fromkeys(json.loads(original), "wrong")))
    (home / "servers/postgres/ready").unlink()
    with pytest.raises(EmbeddedServerError, match="does not fit the data"):
        ensure_postgres(home)
    passwords.write_text(original)
    ensure_postgres(home)


def test_a_server_that_cannot_start_shows_its_log(fresh_home: Path) -> None:
    ensure_postgres(fresh_home)
    stop_postgres(fresh_home)
    with (fresh_home / "servers/postgres/data/postgresql.auto.conf").open("a") as overrides:
        overrides.write("shared_buffers = 'plenty'\n")

    with pytest.raises(EmbeddedServerError, match="plenty"):
        ensure_postgres(fresh_home)


def test_running_server_costs_little_to_find(home: Path) -> None:
    ensure_postgres(home)
    started = time.perf_counter()
    for _ in range(20):
        ensure_postgres(home)
    assert (time.perf_counter() - started) / 20 < 0.05


def test_addresses_start_nothing(fresh_home: Path) -> None:
    address = postgres_addresses(prepare_place(fresh_home))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address.app)
