"""What the models say of a transaction."""

from collections.abc import Mapping

from ml.data.transactions import TransactionColumns
from ml.data.velocity import DESCRIPTIONS, FEATURES, velocity_features

__all__ = ["FEATURES", "TransactionColumns", "describe_features", "velocity_features"]


def describe_features() -> Mapping[str, str]:
    """Each velocity feature in words, by name."""
    return DESCRIPTIONS
