"""A home is backed up and comes back elsewhere with data, keys and files; what is wrong is said and loses nothing."""

import errno
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config import embedded
from config.embedded.backup import back_up, restore
from config.embedded.postgres import ensure_postgres
from config.embedded.runtime import EmbeddedServerError, prepare_place
from config.embedded.valkey import ensure_valkey
from tests.homes import make_home, remove_home

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a home that servers may not enter")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for homes."""
    folder = make_home()
    yield folder
    for home in folder.glob("**/var*"):
        remove_home(home)
    remove_home(folder)


def fill(home: Path) -> None:
    """Servers with a row, a key and a file of a model, all stopped."""
    home.mkdir(parents=True)
    address = ensure_postgres(home)
    ensure_valkey(home)
    with psycopg.connect(address.owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE kept (word text)")
        owner.execute("INSERT INTO kept VALUES ('here')")
    (home / "encryption_key").write_text("secret")
    (home / "encryption_key").chmod(0o600)
    (home / "artifacts/1").mkdir(parents=True)
    (home / "artifacts/1/model.safetensors").write_bytes(b"weights")
    embedded.stop(home)


def kept(home: Path) -> str:
    with psycopg.connect(ensure_postgres(home).owner) as owner:
        return str(owner.execute("SELECT word FROM kept").fetchone()[0])


def test_a_home_comes_back_in_another_place(place: Path) -> None:
    home, archive, other = place / "one/var", place / "backup.tar.gz", place / "two/var"
    fill(home)
    passwords = (home / "passwords.json").read_text()
    back_up(home, archive)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    remove_home(home)

    # Settings make a home of their own before the command is heard.
    other.mkdir(parents=True)
    prepare_place(other)
    new_passwords = (other / "passwords.json").read_text()
    aside = restore(archive, other)
    assert aside is not None
    assert (aside / "passwords.json").read_text() == new_passwords

    assert kept(other) == "here"
    ensure_valkey(other)
    assert (other / "passwords.json").read_text() == passwords
    assert (other / "encryption_key").read_text() == "secret"
    assert stat.S_IMODE((other / "encryption_key").stat().st_mode) == 0o600
    assert (other / "artifacts/1/model.safetensors").read_bytes() == b"weights"


@as_root
def test_servers_behind_a_link_are_in_the_archive_too(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    home, archive = private / "var", place / "backup.tar.gz"
    fill(home)
    assert (home / "servers").is_symlink()
    back_up(home, archive)
    remove_home(home)

    assert restore(archive, place / "public/var") is None
    assert kept(place / "public/var") == "here"
    restore(archive, home)
    assert (home / "servers").is_symlink()
    assert kept(home) == "here"


def test_what_would_be_torn_or_lost_is_refused(place: Path) -> None:
    home, archive = place / "one/var", place / "backup.tar.gz"
    fill(home)
    ensure_postgres(home)
    with pytest.raises(EmbeddedServerError, match=r"postgres of .* running: 'make stop' first"):
        back_up(home, archive)
    embedded.stop(home)
    with pytest.raises(EmbeddedServerError, match="choose a place outside"):
        back_up(home, home / "backup.tar.gz")
    back_up(home, archive)
    with pytest.raises(FileExistsError, match="another name"):
        back_up(home, archive)
    with pytest.raises(EmbeddedServerError, match="holds data already"):
        restore(archive, home)
    assert kept(home) == "here"


@pytest.mark.parametrize("flaw", ["torn", "spoilt", "of something else", "no archive"])
def test_what_is_no_whole_backup_leaves_nothing_behind(flaw: str, place: Path) -> None:
    archive, home = place / "backup.tar.gz", place / "new/var"
    if flaw in ("torn", "spoilt"):
        fill(place / "old/var")
        back_up(place / "old/var", archive)
        whole = archive.read_bytes()
        half = len(whole) // 2
        archive.write_bytes(whole[:half] + (bytes(64) + whole[half + 64 :] if flaw == "spoilt" else b""))
    elif flaw == "of something else":
        with tarfile.open(archive, "w:gz") as tar:
            tar.addfile(tarfile.TarInfo("../../etc/cron.d/theirs"), io.BytesIO())
    else:
        archive.write_text("not one")
    home.mkdir(parents=True)
    (home / "encryption_key").write_text("that of a database elsewhere")
    with pytest.raises(ValueError, match="no whole backup of a home"):
        restore(archive, home)
    assert [file.name for file in home.iterdir()] == ["encryption_key"]
    assert [folder.name for folder in home.parent.iterdir()] == ["var"]


def test_a_disk_that_is_full_leaves_the_home_as_it_was(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, home = place / "backup.tar.gz", place / "new/var"
    fill(place / "old/var")
    back_up(place / "old/var", archive)
    home.mkdir(parents=True)
    (home / "encryption_key").write_text("that of a database elsewhere")
    extract = tarfile.TarFile.extract

    def extract_until_full(tar: tarfile.TarFile, member: tarfile.TarInfo, *args: object, **options: object) -> None:
        if member.name.startswith("postgres/data/base"):
            raise OSError(errno.ENOSPC, "No space left on device")
        extract(tar, member, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(tarfile.TarFile, "extract", extract_until_full)
        with pytest.raises(OSError, match="No space left"):
            restore(archive, home)
    assert [file.name for file in home.iterdir()] == ["encryption_key"]
    restore(archive, home)
    assert kept(home) == "here"
