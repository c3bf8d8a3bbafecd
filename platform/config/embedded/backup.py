"""A home in one archive and back: with the servers' data, wherever they lie and whoever owns them.

A plain copy of the folder may hold no data at all: for root with a private home the servers lie elsewhere, behind a
link.
"""

import gzip
import os
import shutil
import tarfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

from config.embedded.runtime import Account, EmbeddedServerError, Place, Presence, prepare_place

# The first part of every name in an archive.
ROOT = "home"
SERVERS = f"{ROOT}/servers"
MADE_ANEW = {f"{SERVERS}/sockets", f"{SERVERS}/programs"}
# Compressing harder takes many times as long for a tenth less.
COMPRESSION = 1
PIECE = 2**20  # bytes
SPOILT = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError)


def back_up(home: Path, archive: Path) -> None:
    """Write the home into `archive`, which appears whole or not at all and is readable by its owner alone.

    Raises EmbeddedServerError while servers run, since what they write would be torn, and where the archive would lie
    in the home; FileExistsError rather than replace an older one.
    """
    home, archive = home.resolve(), archive.resolve()
    if archive.is_relative_to(home):
        raise EmbeddedServerError(f"{archive} lies in {home}, which it is a backup of: choose a place outside")
    if archive.exists():
        raise FileExistsError(f"{archive} is there already: choose another name, or remove it")
    place = prepare_place(home)
    if running := _running(place):
        raise EmbeddedServerError(f"{' and '.join(running)} of {home} are running: 'make stop' first")
    partial = archive.with_name(f"{archive.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=COMPRESSION) as tar:
            tar.add(home, ROOT, filter=lambda member: None if member.name == SERVERS else member)
            tar.add(place.folder, SERVERS, filter=lambda member: None if member.name in MADE_ANEW else member)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(archive)


def restore(archive: Path, home: Path) -> Path | None:
    """Unpack what `back_up` wrote into a home without data; the files then belong to whom they must here. What the home
    held besides, such as keys that were just made, is set aside; the folder with it is returned.

    Raises EmbeddedServerError where the home holds data, and ValueError where the archive is none of ours or torn; the
    home is then as it was, and so it is after any other failure.
    """
    home = home.resolve()
    if (home / "servers/postgres/data").exists():
        raise EmbeddedServerError(f"{home} holds data already: move it away, or set SEQUITUR_HOME to a new folder")
    aside = home.with_name(f"{home.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S}") if home.exists() else None
    try:
        _read_through(archive)
        if aside:
            home.rename(aside)
        home.mkdir(parents=True)
        with tarfile.open(archive, "r:gz") as tar:
            _unpack(tar, home)
    except BaseException as error:
        # A full disk or an impatient operator must not leave half a home, which would then pass for one with data.
        if aside is None or aside.exists():
            shutil.rmtree((home / "servers").resolve(), ignore_errors=True)
            shutil.rmtree(home, ignore_errors=True)
        if aside and aside.exists():
            aside.rename(home)
        if isinstance(error, SPOILT):
            raise ValueError(f"{archive} is no whole backup of a home: {error}") from error
        raise
    return aside


def _read_through(archive: Path) -> None:
    """Raises what gzip finds wrong; tarfile would take spoilt bytes for the end, and never look at the checksum."""
    with gzip.open(archive) as content:
        while content.read(PIECE):
            pass


def _unpack(tar: tarfile.TarFile, home: Path) -> None:
    """The home's own files come first in an archive; the servers' place depends on them."""
    own, place = Account(os.geteuid(), os.getegid()), None
    for member in tar:
        if member.name == SERVERS:
            place = prepare_place(home)
        elif member.name.startswith(f"{SERVERS}/"):
            if place is None:
                raise ValueError("it does not begin with the home")
            _extract(tar, member, place.folder, SERVERS, place.account)
        elif member.name.startswith(f"{ROOT}/"):
            _extract(tar, member, home, ROOT, own)
        elif member.name != ROOT:
            raise ValueError(f"it holds '{member.name}'")
    if place is None:
        raise ValueError("it holds no servers")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, prefix: str, owner: Account) -> None:
    renamed = member.replace(
        name=member.name.removeprefix(f"{prefix}/"), uid=owner.uid, gid=owner.gid, uname="", gname="", deep=False
    )
    tar.extract(renamed, folder, filter="tar", numeric_owner=True)


def _running(place: Place) -> list[str]:
    return [
        name
        for name in ("postgres", "valkey")
        if (place.folder / name).exists() and Presence(place.folder / name / "alive", place.account).alive()
    ]
