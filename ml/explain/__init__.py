"""Which of a subject's events an item's score is owed to, through which member of the mixture."""

from typing import Literal

# Ways to share the network's part among the events (see ml.explain.network), the usual one first.
Method = Literal["content", "attention", "integrated_gradients"]
METHODS: tuple[Method, ...] = ("content", "attention", "integrated_gradients")


def method_named(name: str) -> Method:
    """Raises ValueError that lists the methods."""
    for method in METHODS:
        if method == name:
            return method
    raise ValueError(f"attribution '{name}' is unknown; use {', '.join(METHODS)}")
