from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ml.data.columns import EventColumns
from ml.serving.requests import NextItemRequest
from ml.tasks.registry import TASKS
from tests.ml.logs import TINY, make_log


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> EventColumns:
    return make_log(tmp_path_factory.mktemp("log") / "columns")


@pytest.fixture(scope="session")
def artifact(log: EventColumns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artifact") / "model"
    TASKS["next_item"].fit(log, TINY, out, progress=lambda _: None)
    return out


@pytest.fixture
def ask() -> Callable[..., NextItemRequest]:
    """A request about the given items, one view a minute."""

    def build(items: list[str], **changes: object) -> NextItemRequest:
        request = {
            "items": items,
            "types": ["view"] * len(items),
            "times": [60.0 * position for position in range(len(items))],
            "values": [None] * len(items),
            "count": 10,
            "exclude": [],
            "candidates": None,
            "now": 60.0 * len(items),
        }
        return NextItemRequest(**{**request, **changes})

    return build
