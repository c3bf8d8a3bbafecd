"""Statements of the paths that somebody waits for: the server parses and plans each once for a connection."""

from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus


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


def begin_with(statement: str) -> str | None:
    """Begin the transaction of the `atomic` block around by a statement that gives one value, and return it as text.

    Both travel in one message, and no cursor is made: each request begins so, and a message of its own for BEGIN costs
    more than what it says. Inside a transaction that has begun already the statement is one of it. Values must be part
    of the statement, so let nothing into it that is not known to be harmless.
    Raises OperationalError where the connection is gone; nothing has happened then.
    """
    connection: Any = connections[DEFAULT_DB_ALIAS]
    database = connection.connection.pgconn
    if connection.queries_logged or database.transaction_status != TransactionStatus.IDLE:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return None if (row := cursor.fetchone()) is None or row[0] is None else str(row[0])
    with connection.wrap_database_errors:
        result = database.exec_(f"BEGIN; {statement}".encode())
        if database.status == ConnStatus.BAD:
            raise psycopg.OperationalError(database.get_error_message())
        if result.status != ExecStatus.TUPLES_OK:
            raise error_from_result(result)
    value = result.get_value(0, 0)
    return None if value is None else value.decode()
