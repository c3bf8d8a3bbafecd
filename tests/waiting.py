"""Waiting for what another process or thread does."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
# A wait that succeeds ends at once, so this much costs nothing where the machine is quick.
PATIENCE_SECONDS = 240.0


def until(
    condition: Callable[[], Found | None],
    why: Callable[[], object] = lambda: "it did not happen",
    *,
    seconds: float = PATIENCE_SECONDS,
    every: float = 0.1,
) -> Found:
    """What `condition` gives once it is neither None nor False. Raises AssertionError with `why` when time is up."""
    ends = time.monotonic() + seconds
    while (found := condition()) is None or found is False:
        assert time.monotonic() < ends, why()
        time.sleep(every)
    return found
