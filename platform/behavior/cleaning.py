"""Rules that a snapshot's events pass before a model sees them.

The log itself is never changed. Each rule is conservative: it touches what no person can have done or no price can be,
counts what it touched, and leaves it open to inspection. Rules run in the order of `RULES`, each on what the one
before left.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from behavior.event_types import NEEDS_ITEM, PURCHASES

REPEAT_SECONDS = 1.0
OUTLIER_Z = 10.0
OUTLIER_MINIMUM = 50  # values of a type, below which its spread says little
# No person makes ten events a second for a minute. At least this many distinct times, so that coarse clocks (dates
# alone, whole minutes) are not taken for bots.
BOT_EVENTS, BOT_SECONDS, BOT_DISTINCT_TIMES = 600, 60.0, 30


@dataclass(frozen=True)
class Events:
    """Columns of equal length (events,), in order of receipt."""

    subject: NDArray[np.int64]
    item: NDArray[np.int64]  # -1 = none
    type: NDArray[np.int64]
    time: NDArray[np.float64]  # unix seconds
    value: NDArray[np.float32]  # NaN = absent
    event_id: NDArray[np.uint8]  # (events, 16)

    def __len__(self) -> int:
        return len(self.subject)

    def keep(self, rows: NDArray[np.bool_]) -> "Events":
        return Events(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Names:
    """What the codes stand for."""

    items: list[str]
    types: list[str]
    known_items: Collection[str] | None  # the catalogue; None when there is none to compare with


@dataclass(frozen=True)
class Finding:
    """What one rule touched."""

    rule: str
    effect: str  # "dropped", "value dropped", "kept"
    event_ids: NDArray[np.uint8]  # (touched, 16)

    @property
    def count(self) -> int:
        return len(self.event_ids)


def clean(events: Events, names: Names) -> tuple[Events, list[Finding]]:
    """The events that remain, and a finding for every rule, also for those that touched nothing."""
    findings = []
    for rule, effect, find in RULES:
        touched = find(events, names)
        findings.append(Finding(rule, effect, events.event_id[touched]))
        if effect == "dropped":
            events = events.keep(~touched)
        elif effect == "value dropped":
            events = replace(events, value=np.where(touched, np.float32(np.nan), events.value))
    return events, findings


def find_repeats(events: Events, names: Names) -> NDArray[np.bool_]:
    """The same subject, item, type and value again within a second: a double click or a client's double send."""
    value = np.nan_to_num(events.value, nan=-1.0)
    order = np.lexsort((events.time, value, events.type, events.item, events.subject))
    columns = (events.subject, events.item, events.type, value)
    same = np.logical_and.reduce([column[order][1:] == column[order][:-1] for column in columns])
    repeated = same & (np.diff(events.time[order]) <= REPEAT_SECONDS) & (events.item[order][1:] >= 0)
    touched = np.zeros(len(events), dtype=bool)
    touched[order[1:][repeated]] = True
    return touched


def find_missing_items(events: Events, names: Names) -> NDArray[np.bool_]:
    return (events.item < 0) & _of_types(events, names, NEEDS_ITEM)


def find_bots(events: Events, names: Names) -> NDArray[np.bool_]:
    """All events of subjects with 600 events at 30 or more distinct times within a minute."""
    order = np.lexsort((events.time, events.subject))
    subject, time = events.subject[order], events.time[order]
    if len(time) < BOT_EVENTS:
        return np.zeros(len(events), dtype=bool)
    new_time = np.cumsum(np.diff(time, prepend=time[:1]) != 0)
    last = BOT_EVENTS - 1
    is_burst = (
        (subject[last:] == subject[:-last])
        & (time[last:] - time[:-last] <= BOT_SECONDS)
        & (new_time[last:] - new_time[:-last] >= BOT_DISTINCT_TIMES - 1)
    )
    return np.isin(events.subject, np.unique(subject[last:][is_burst]))


def find_impossible_values(events: Events, names: Names) -> NDArray[np.bool_]:
    """Purchases with a negative value."""
    return (events.value < 0) & _of_types(events, names, PURCHASES)


def find_outliers(events: Events, names: Names) -> NDArray[np.bool_]:
    """Values whose robust z-score within their type exceeds 10, on a logarithmic scale.

    z = 0.6745 (x - median) / MAD (Iglewicz and Hoaglin, 1993) with x = log1p of the value: prices and amounts spread
    over orders of magnitude, so that the plain score would call every large basket an outlier.
    """
    touched = np.zeros(len(events), dtype=bool)
    for code in np.unique(events.type):
        rows = np.flatnonzero((events.type == code) & (events.value >= 0))
        if len(rows) < OUTLIER_MINIMUM:
            continue
        size = np.log1p(events.value[rows].astype(np.float64))
        distance = np.abs(size - np.median(size))
        spread = np.median(distance)
        if spread > 0:
            touched[rows] = 0.6745 * distance / spread > OUTLIER_Z
    return touched


def find_unknown_items(events: Events, names: Names) -> NDArray[np.bool_]:
    if names.known_items is None:
        return np.zeros(len(events), dtype=bool)
    known = set(names.known_items)
    is_unknown = np.array([item not in known for item in names.items] + [False], dtype=bool)
    return is_unknown[events.item]


def _of_types(events: Events, names: Names, types: Collection[str]) -> NDArray[np.bool_]:
    return np.isin(events.type, [code for code, name in enumerate(names.types) if name in types])


Find = Callable[[Events, Names], NDArray[np.bool_]]
RULES: list[tuple[str, str, Find]] = [
    ("repeats", "dropped", find_repeats),
    ("missing items", "dropped", find_missing_items),
    ("bots", "dropped", find_bots),
    ("impossible values", "value dropped", find_impossible_values),
    ("value outliers", "value dropped", find_outliers),
    ("unknown items", "kept", find_unknown_items),
]
