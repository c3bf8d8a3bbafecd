"""Where embedded servers live, as whom they run, and how one is started exactly once."""

import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# sun_path holds 104 bytes on macOS and 108 on Linux, with the closing NUL; the longest name inside is PostgreSQL's.
LONGEST_SOCKET_PATH = 103
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"
START_TIMEOUT = 600.0  # seconds; replaying the log after a crash may take minutes
STARTS_BEFORE_GIVING_UP = 3


class EmbeddedServerError(RuntimeError):
    """An embedded server cannot be used; the message names the cure."""


@dataclass(frozen=True)
class Account:
    """The system user that server processes run as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """The folders of one home: `folder` and `sockets` are private to `account`, the passwords to who made the home."""

    home: Path
    folder: Path
    sockets: Path
    account: Account
    passwords: dict[str, str]


def prepare_place(home: Path) -> Place:
    """Make or find the folders and passwords of a home. Safe to call from many processes at once.

    Raises EmbeddedServerError when the home belongs to another user, or when its passwords are lost.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    link = home / "servers"
    try:
        if not (link.exists() and (home / "passwords.json").exists()):
            with locked(home):
                passwords_lost = (link / "postgres" / "data").exists() and not (home / "passwords.json").exists()
                if passwords_lost:
                    raise EmbeddedServerError(
                        f"{home}/passwords.json is gone but the data is not: restore that file, or move {link} away"
                    )
                _make_home(home, link)
        passwords = json.loads((home / "passwords.json").read_text())
    except PermissionError as error:
        raise EmbeddedServerError(
            f"{error.filename} belongs to another user: run as that user, or set SEQUITUR_HOME to a folder of your own"
        ) from error
    folder = link.resolve()
    owner = folder.stat()
    account = Account(owner.st_uid, owner.st_gid)
    return Place(home, folder, _sockets(folder, account), account, passwords)


def _make_home(home: Path, link: Path) -> None:
    if not link.exists():
        account = _choose_account()
        folder = link
        if not may_enter(account, home):
            # Opening the parents of a private checkout to everyone is no way out, so the files go where it may enter.
            folder = Path("/var/lib") / f"sequitur-{_fingerprint(home)}"
            link.unlink(missing_ok=True)
            link.symlink_to(folder)
        if not folder.exists():
            unfinished = folder.with_name(f"{folder.name}.new")
            unfinished.mkdir(mode=0o700, exist_ok=True)
            os.chown(unfinished, account.uid, account.gid)
            unfinished.rename(folder)
    passwords = home / "passwords.json"
    if not passwords.exists():
        names = ("superuser", "owner", "app", "console", "valkey")
        write_private(passwords, json.dumps({name: secrets.token_hex(24) for name in names}, indent=1))


def _choose_account() -> Account:
    """Ourselves, or for root an unprivileged user that exists already: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(user.pw_uid, user.pw_gid)
    raise EmbeddedServerError("root needs a user 'postgres' or 'nobody' to run PostgreSQL as, and neither exists")


def _sockets(folder: Path, account: Account) -> Path:
    path = folder / "sockets"
    if len(os.fsencode(path / LONGEST_SOCKET_NAME)) > LONGEST_SOCKET_PATH:
        path = Path("/tmp") / f"sequitur-{account.uid}-{_fingerprint(folder)}"
    make_private_folder(path, account)
    return path


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def make_private_folder(path: Path, account: Account) -> None:
    """Make a folder that only the account can enter; refuse one that somebody else made under that name."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {account.uid, os.geteuid()}:
            raise EmbeddedServerError(f"{path} was made by another user: remove it or move the checkout") from None
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
        if found.st_uid == account.uid:
            return
    if os.geteuid() != account.uid:
        os.chown(path, account.uid, account.gid)


def may_enter(account: Account, path: Path) -> bool:
    """Whether the account can traverse the folder and all its parents, judged by owner, group and mode."""
    if os.geteuid() == account.uid:
        return True
    for folder in (path.resolve(), *path.resolve().parents):
        found = folder.stat()
        if found.st_uid == account.uid:
            bit = stat.S_IXUSR
        elif found.st_gid == account.gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not found.st_mode & bit:
            return False
    return True


def write_private(path: Path, text: str, account: Account | None = None) -> None:
    """Replace a file at once by one that only its owner reads; never follows a link that lies in its way."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if account and os.geteuid() != account.uid:
            os.fchown(descriptor, account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    unfinished.rename(path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time; the lock is the folder itself, so that it leaves no file and dies with its holder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def run_as(account: Account, command: Sequence[str | Path], *, cwd: Path, keep: Sequence[int] = ()) -> str:
    """Run a server's program as the account, with none of our environment, and return what it printed.

    `keep` lists descriptors that it inherits. Raises EmbeddedServerError with its output when it fails.
    """
    changes_user = os.geteuid() != account.uid
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=tuple(keep),
        user=account.uid if changes_user else None,
        group=account.gid if changes_user else None,
        extra_groups=[] if changes_user else None,
    )
    if result.returncode:
        raise EmbeddedServerError(f"{Path(command[0]).name} failed ({result.returncode}): {result.stdout.strip()}")
    return result.stdout


class Presence:
    """Whether any process of a server is alive, told by a file lock that the server and its children inherit.

    The kernel drops the lock when the last of them is gone. Unlike a process id it is never reused, holds for
    orphaned children of a killed parent, and does not mistake a zombie for a server.
    """

    def __init__(self, path: Path, account: Account) -> None:
        self.path = path
        self.account = account

    @contextmanager
    def claim(self) -> Iterator[int]:
        """The locked descriptor to start a server with. Raises BlockingIOError while one is alive."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            if os.geteuid() != self.account.uid:
                os.fchown(descriptor, self.account.uid, self.account.gid)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
        finally:
            os.close(descriptor)

    def alive(self) -> bool:
        try:
            with self.claim():
                return False
        except BlockingIOError:
            return True


def start_until_answering(
    name: str,
    *,
    answering: Callable[[], bool],
    presence: Presence,
    start: Callable[[int], None],
    log: Path,
    timeout: float = START_TIMEOUT,
) -> None:
    """Start a server and wait for its answer; while old processes live, wait for them instead of starting another.

    `start` gets the descriptor of the claimed presence. Raises EmbeddedServerError with the end of the log.
    """
    deadline = time.monotonic() + timeout
    starts = 0
    while not answering():
        try:
            with presence.claim() as descriptor:
                if starts == STARTS_BEFORE_GIVING_UP:
                    raise EmbeddedServerError(f"{name} stops as soon as it is started; {log} ends:\n{_tail(log)}")
                start(descriptor)
                starts += 1
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"{name} runs but gave no answer for {timeout:.0f} s; {log} ends:\n{_tail(log)}"
                ) from None
        time.sleep(0.02)


def wait_until_gone(presence: Presence, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while presence.alive() and time.monotonic() < deadline:
        time.sleep(0.02)


def keep_log_small(log: Path, limit: int = 10 * 1024 * 1024) -> None:
    """Set a log aside before a start once it has grown beyond the limit (bytes)."""
    if log.exists() and log.stat().st_size > limit:
        shutil.move(log, log.with_suffix(".log.1"))


def _tail(log: Path, lines: int = 15) -> str:
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
