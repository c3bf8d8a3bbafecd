"""Structured logs: every line carries the tenant and the request id that are bound while it is written.

Each request writes one, so nothing is asked for that no line shows, neither colours nor the place in the code.
"""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog


class LineFormatter(logging.Formatter):
    """One line for each record, as JSON or to be read; those of other packages get the same fields as ours."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._write = _as_json if as_json else _as_text

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "timestamp": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if isinstance(record.msg, dict):
            return self._write(fields | record.msg)
        fields |= structlog.contextvars.get_contextvars() | {"event": record.getMessage()}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return self._write(fields)


def _as_json(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, default=repr)


def _as_text(fields: Mapping[str, Any]) -> str:
    """2026-11-26T20:07:50.388218Z [info    ] request [api.requests] status=200 path=/api/v1/items"""
    rest = dict(fields)
    timestamp, level, logger, event = (rest.pop(name, "") for name in ("timestamp", "level", "logger", "event"))
    exception = rest.pop("exception", None)
    told = [f"{name}={_shown(value)}" for name, value in rest.items()]
    line = " ".join([f"{timestamp} [{level:<8}] {event} [{logger}]", *told])
    return f"{line}\n{exception}" if exception else line


def _shown(value: Any) -> str:
    """A text of several words in quotes, and nothing that could end the line."""
    is_word = type(value) is str and value.isprintable() and " " not in value
    return value if is_word else repr(value)


def configure_logging(*, as_json: bool, level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(as_json=as_json))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Django's own line about each 4xx answer; the line of the request says the same.
    logging.getLogger("django.request").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            # The record's message is the fields themselves.
            lambda logger, method, fields: ((fields,), {}),
        ],
        logger_factory=logging.getLogger,
        cache_logger_on_first_use=True,
    )
