"""Statements of the paths that somebody waits for: the server parses and plans each once for a connection."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper


def prepared_cursor() -> CursorWrapper:
    """A cursor whose values travel beside the statement, so that the server keeps what it made of it.

    Django's own writes values into the statement, which the server then has to read anew each time. For statements
    that are written out and always the same: each different text takes one of a connection's 100 places.
    """
    # Looked up once: each attribute of `django.db.connection` is a look-up of its own.
    connection: Any = connections[DEFAULT_DB_ALIAS]
    if connection.queries_logged:
        # It cannot tell afterwards what it sent.
        logged: CursorWrapper = connection.cursor()
        return logged
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        # As `connection.cursor()`, with the other class of cursor.
        prepared: CursorWrapper = connection._prepare_cursor(
            ServerBindingCursor(connection.connection)  # type: ignore[call-arg]
        )
        return prepared
