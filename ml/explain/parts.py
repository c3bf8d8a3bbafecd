"""A score taken apart: what each event adds through each member of the mixture. numpy only."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.mixture import Mixture
from ml.evaluation.untrained import Untrained, recency_weights

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]

# In the order of a Mixture's fields: neural, rules, neighbors, repeats, popularity.
MEMBERS = tuple(field.name for field in fields(Mixture))
NEURAL, RULES, NEIGHBORS, REPEATS, POPULARITY = range(len(MEMBERS))


@dataclass
class Parts:
    """Parts of the scores of K items after a history of L events. All of them together are the scores.

    `base` is what a member gives whatever the events are: popularity, and what a network says that knows nothing.
    """

    events: Floats  # (members, L, K)
    base: Floats  # (members, K)

    @property
    def scores(self) -> Floats:
        """(members, K)."""
        return self.events.sum(axis=1) + self.base

    def of_events(self) -> Floats:
        """What each event adds by all members, (L, K)."""
        return self.events.sum(axis=0)


def untrained_parts(untrained: Untrained, mixture: Mixture, history: Codes, codes: Codes) -> Parts:
    """The exact parts of all members but the network, whose own are left 0.

    history (L,) holds known item codes, oldest first; codes (K,) those of the items, 0 for an unknown one.
    """
    parts = Parts(
        events=np.zeros((len(MEMBERS), len(history), len(codes)), dtype=np.float32),
        base=np.zeros((len(MEMBERS), len(codes)), dtype=np.float32),
    )
    recency = event_recency(history, untrained.window)
    parts.events[REPEATS] = mixture.repeats * recency[:, None] * (history[:, None] == codes)
    for event in np.flatnonzero(recency):
        successor, weight = untrained.rules.row(int(history[event]))
        said = (weight[:, None] * (successor[:, None] == codes - 1)).sum(axis=0)
        parts.events[RULES, event] = mixture.rules * recency[event] * said
    if untrained.neighbors is not None and mixture.neighbors:
        newest_first = history[::-1][: untrained.reach]
        spoken = untrained.neighbors.contributions(newest_first, codes)[::-1]
        parts.events[NEIGHBORS, len(history) - len(spoken) :] = mixture.neighbors * spoken
    parts.base[POPULARITY] = mixture.popularity * untrained.popularity[codes - 1] * (codes > 0)
    return parts


def event_recency(history: Codes, window: int) -> Floats:
    """The rules' weight of each event, (L,); 0 beyond the newest `window`. history as in `untrained_parts`."""
    weight = np.zeros(len(history), dtype=np.float32)
    recent = history[::-1][:window]
    weight[len(weight) - len(recent) :] = recency_weights(recent[None])[0][::-1]
    return weight
