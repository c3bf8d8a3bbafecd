"""Lines of the log: all in one form, with what is bound, and none that a client could have written."""

import io
import json
import logging
from collections.abc import Callable

import pytest
import structlog

from config.logs import LineFormatter

Written = Callable[[], list[str]]


@pytest.fixture(params=[False, True], ids=["text", "json"])
def as_json(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def written(as_json: bool) -> Written:
    """The lines that `trial.logs` has written since."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(as_json=as_json))
    logger = logging.getLogger("trial.logs")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel("INFO")
    return lambda: stream.getvalue().splitlines()


def test_a_line_has_its_fields_and_those_that_are_bound(written: Written, as_json: bool) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1", tenant=7):
        structlog.get_logger("trial.logs").info("request", status=200, path="/api/v1/items")

    [line] = written()
    told = {
        "event": "request",
        "level": "info",
        "logger": "trial.logs",
        "status": 200,
        "request_id": "r-1",
        "tenant": 7,
    }
    if as_json:
        assert json.loads(line).items() >= (told | {"path": "/api/v1/items"}).items()
    else:
        assert "Z [info    ] request [trial.logs] status=200 path=/api/v1/items " in line
        assert set(line.split()) >= {"request_id=r-1", "tenant=7"}


def test_a_value_cannot_begin_a_line_of_its_own(written: Written) -> None:
    structlog.get_logger("trial.logs").info("request", path="/x\n2026-01-01T00:00:00Z [info] forged\u2028\x1b[31m")

    [line] = written()
    assert line.isprintable()


def test_lines_of_other_packages_say_as_much(written: Written) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        try:
            raise ZeroDivisionError("nothing to share")
        except ZeroDivisionError:
            logging.getLogger("trial.logs").exception("could not %s", "divide")

    lines = "\n".join(written())
    for part in ("could not divide", "r-1", "error", "Traceback", "ZeroDivisionError: nothing to share"):
        assert part in lines
