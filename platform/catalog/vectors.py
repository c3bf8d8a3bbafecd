"""Vectors of pgvector as a column: read and written as text, and read as vector_send() gives them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.db import models
from numpy.typing import NDArray


def as_text(vector: Sequence[float]) -> str:
    """As pgvector reads it: [0.1,0.2]."""
    return f"[{','.join(map('{:.6g}'.format, vector))}]"


def from_sent(sent: bytes) -> NDArray[np.float32]:
    """What vector_send() gives: two numbers of two bytes, then a float of four bytes for each dimension, the highest
    byte first."""
    return np.frombuffer(sent, dtype=">f4", offset=4).astype(np.float32)


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
