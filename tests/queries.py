"""Counting the statements that something costs."""

from typing import Any
from unittest.mock import patch

from django.db import connection
from django.test.utils import CaptureQueriesContext


class CapturedQueries(CaptureQueriesContext):
    """The statements of a block. What the process remembers of a tenant lasts through it, however slow the machine."""

    def __init__(self) -> None:
        super().__init__(connection)
        self._no_time_passes = patch("tenancy.kept.monotonic", return_value=0.0)

    def __enter__(self) -> "CapturedQueries":
        self._no_time_passes.start()
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._no_time_passes.stop()
