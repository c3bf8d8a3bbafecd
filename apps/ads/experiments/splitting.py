"""Keeping each reader to one arm of every experiment, as part of an auction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from decisions.experiments import arm_of


@dataclass(frozen=True)
class Split:
    """A running experiment: what each arm's readers are not shown, as bit sets of a snapshot's ads."""

    experiment_id: UUID
    shares: tuple[float, ...]
    hidden: tuple[int, ...]

    def hidden_from(self, unit: bytes) -> int:
        return self.hidden[arm_of(self.experiment_id, unit, self.shares)]


def split_of(experiment_id: UUID, arms: Sequence[dict[str, Any]], ads: dict[str, int]) -> Split:
    """`ads` are bit sets of ads by id of their flight and of their creative."""
    shown = []
    for arm in arms:
        bits = 0
        for member in arm["members"]:
            bits |= ads.get(member, 0)
        shown.append(bits)
    everything = 0
    for bits in shown:
        everything |= bits
    return Split(experiment_id, tuple(arm["share"] for arm in arms), tuple(everything & ~bits for bits in shown))


def hidden_from(splits: Sequence[Split], unit: bytes) -> int:
    """All ads that a unit is not shown."""
    hidden = 0
    for split in splits:
        hidden |= split.hidden_from(unit)
    return hidden
