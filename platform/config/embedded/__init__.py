"""PostgreSQL and Valkey that need nothing installed: found in the environment, else run from wheels under `var/`.

`environment` gives addresses and starts nothing; `ensure_running` starts what does not answer. Each server is embedded
only while its own variables are unset, so a setting is never guessed from what happens to listen.
"""

import os
from pathlib import Path

from config.embedded.postgres import ensure_postgres, postgres_addresses, stop_postgres
from config.embedded.runtime import EmbeddedServerError, prepare_place
from config.embedded.valkey import ensure_valkey, stop_valkey, valkey_addresses

__all__ = [
    "NAMES",
    "EmbeddedServerError",
    "default_home",
    "ensure_running",
    "environment",
    "stop",
    "uses_embedded_postgres",
    "uses_embedded_valkey",
]

DATABASE_NAMES = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_CONSOLE_URL")
VALKEY_NAMES = ("VALKEY_URL", "CELERY_BROKER_URL")
NAMES = DATABASE_NAMES + VALKEY_NAMES


def default_home() -> Path:
    """Folder of everything that is made while running: `SEQUITUR_HOME`, or `var` beside manage.py."""
    root = Path(__file__).resolve().parents[3]
    return Path(os.environ.get("SEQUITUR_HOME") or root / "var").resolve()


def uses_embedded_postgres() -> bool:
    """True when no database variable is set. Raises EmbeddedServerError when only some are: roles must match."""
    missing = [name for name in DATABASE_NAMES if not os.environ.get(name)]
    if 0 < len(missing) < len(DATABASE_NAMES):
        raise EmbeddedServerError(
            f"{', '.join(missing)} not set: give {', '.join(DATABASE_NAMES)} together (three roles of one database), "
            "or none of them to use the embedded PostgreSQL"
        )
    return bool(missing)


def uses_embedded_valkey() -> bool:
    """True when the broker's or the cache's address is unset."""
    return not all(os.environ.get(name) for name in VALKEY_NAMES)


def environment(home: Path | None = None) -> dict[str, str]:
    """Addresses of the embedded servers that are in use, by variable name; makes folders and passwords, starts nothing.

    Variables that the environment sets already keep their value.
    """
    embedded: dict[str, str] = {}
    if uses_embedded_postgres():
        embedded |= postgres_addresses(prepare_place(home or default_home())).variables()
    if uses_embedded_valkey():
        embedded |= valkey_addresses(prepare_place(home or default_home()))
    return embedded | {name: value for name in NAMES if (value := os.environ.get(name))}


def ensure_running(home: Path | None = None) -> None:
    """Start the embedded servers that are in use and do not answer; about a millisecond when they do.

    Raises EmbeddedServerError with the end of the server's log when one cannot start.
    """
    home = home or default_home()
    if uses_embedded_postgres():
        ensure_postgres(home)
    if uses_embedded_valkey():
        ensure_valkey(home)


def stop(home: Path | None = None) -> None:
    """Stop the embedded servers of this home; a server that does not run is left alone."""
    home = home or default_home()
    if (home / "servers").exists():
        stop_valkey(home)
        stop_postgres(home)
