"""Vectors of pgvector as a column: read and written as text, compared in SQL alone."""

from collections.abc import Sequence
from typing import Any

from django.db import models


def as_text(vector: Sequence[float]) -> str:
    """As pgvector reads it: [0.1,0.2]."""
    return f"[{','.join(map('{:.6g}'.format, vector))}]"


class VectorField(models.Field):
    """`vector(dimension)`. Its values are text such as "[0.1,0.2]"."""

    def __init__(self, *args: Any, dimension: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dimension = dimension

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, kwargs | {"dimension": self.dimension}

    def db_type(self, connection: Any) -> str:
        return f"vector({self.dimension})"
