"""Simulated impressions of ads, of which the true chance of a click is known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.data.impressions import Impressions

DAY = 86_400.0
TOPICS = ("outdoor", "kitchen", "music", "garden")


@dataclass(frozen=True)
class SimulatedImpressions:
    """chance (n,): the true one of each impression of the log."""

    log: Impressions
    chance: NDArray[np.float64]


def simulate_impressions(count: int, *, creatives: int = 12, seed: int) -> SimulatedImpressions:
    """`count` impressions of one month; other seeds give others of the same world.

    Each creative has a topic and a quality of its own, phones click less, and who looked at the topic's items before
    clicks more, by as much as they did; `country` says nothing.
    """
    generator = np.random.default_rng(seed)
    topic_of = np.arange(creatives) % len(TOPICS)
    quality = np.linspace(-0.7, 0.7, creatives)
    creative = generator.integers(0, creatives, count)
    device = generator.choice(["phone", "desktop"], count)
    liked = generator.integers(0, len(TOPICS), count)
    length = generator.integers(0, 7, count)
    history = [
        [f"c{generator.choice(np.flatnonzero(topic_of == liked[row]))}" for _ in range(length[row])]
        for row in range(count)
    ]
    interest = np.where(topic_of[creative] == liked, 0.5 * length, 0.0)
    logit = -2.5 + quality[creative] - 0.6 * (device == "phone") + interest
    chance = 1 / (1 + np.exp(-logit))
    log = Impressions.of(
        time=np.sort(generator.random(count)) * 30 * DAY,
        clicked=generator.random(count) < chance,
        fields={
            "creative": [f"c{each}" for each in creative],
            "topic": [TOPICS[topic_of[each]] for each in creative],
            "device": device,
            "country": generator.choice(["DE", "FR", "NL"], count),
        },
        numbers={"seen_before": generator.integers(0, 4, count)},
        history=history,
        target="creative",
    )
    return SimulatedImpressions(log, chance)


def simulate_conversions(count: int, *, mean_delay_days: float, seed: int) -> SimulatedImpressions:
    """`count` clicks of one month on two creatives, of which "good" converts three times in ten and "poor" once in ten,
    after exponential delays; conversions after the last click are not in the log."""
    generator = np.random.default_rng(seed)
    creative = generator.choice(["good", "poor"], count)
    chance = np.where(creative == "good", 0.3, 0.1)
    time = np.sort(generator.random(count)) * 30 * DAY
    delay = generator.exponential(mean_delay_days * DAY, count)
    converted = (generator.random(count) < chance) & (time + delay <= time[-1])
    log = Impressions.of(
        time=time,
        clicked=converted,
        delay=np.where(converted, delay, np.nan),
        fields={"creative": creative},
        target="creative",
    )
    return SimulatedImpressions(log, chance)
