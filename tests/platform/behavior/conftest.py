import itertools
from collections.abc import Callable
from typing import Any

import pytest

_numbers = itertools.count(1)


@pytest.fixture
def view() -> Callable[..., dict[str, Any]]:
    """view(item_id="i2") makes an event that is stored as it is; None takes a field out."""

    def make(**fields: Any) -> dict[str, Any]:
        event = {"message_id": f"m-{next(_numbers)}", "type": "view", "subject": {"user_id": "ada"}, "item_id": "i1"}
        return {name: value for name, value in (event | fields).items() if value is not None}

    return make
