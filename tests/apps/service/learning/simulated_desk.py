"""A desk that has worked for a while: what customers did and wrote, and the macros that its agents gave them."""

from collections.abc import Mapping
from datetime import timedelta

from apps.service.demonstrations.history import Outcome, fill_history, publish_macros
from apps.service.engine import ReplyPairs
from apps.service.knowledge.models import Source

# Trains in seconds, and tells the situations apart.
QUICK = {"pretrained": False, "batch_pairs": 64, "epochs": 6, "least_steps": 100}


def fill_desk(count: int, *, seed: int = 1, macros: Mapping[str, Source] | None = None) -> ReplyPairs:
    """Conversations of the last hours, each with the macro that fits, suggested and accepted."""
    macros = macros or publish_macros("test")
    spacing = timedelta(minutes=1)
    return fill_history([Outcome()] * count, macros, seed=seed, spacing=spacing, agent="agent")
