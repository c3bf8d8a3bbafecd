"""The people of a world: taste, intents and habits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.simulation.catalogue import DAY, STYLES, Catalogue
from ml.simulation.config import WorldConfig

DEVICES = ("phone", "desktop", "tablet")


@dataclass(frozen=True)
class Population:
    """Arrays over the subjects.

    taste (subjects, STYLES); intents (subjects, intents) in the order of rotation; direction (subjects,) is 1 for who
    walks a routine forwards and -1 for who walks it backwards; interval and phase in seconds: the subject's visit
    number k lies in phase + k * interval onwards; usual (subjects, categories) is the item bought again and again.
    """

    ids: list[str]
    index: dict[str, int]
    anonymous: NDArray[np.bool_]
    taste: NDArray[np.float64]
    intents: NDArray[np.int64]
    direction: NDArray[np.int64]
    interval: NDArray[np.float64]
    phase: NDArray[np.float64]
    usual: NDArray[np.int64]
    device: NDArray[np.int64]
    personalisation: NDArray[np.bool_]
    training: NDArray[np.bool_]

    def intent_at(self, subject: NDArray[np.int64], time: NDArray[np.float64]) -> NDArray[np.int64]:
        """The intent of each subject at Unix seconds `time`: intents rotate, one a visit interval."""
        visit = np.floor((time - self.phase[subject]) / self.interval[subject]).astype(np.int64)
        return self.intents[subject, visit % self.intents.shape[1]]


def build_population(config: WorldConfig, catalogue: Catalogue, generator: np.random.Generator) -> Population:
    count = config.subjects
    anonymous = generator.random(count) < config.anonymous_share
    ids = [f"{'a' if hidden_name else 'u'}-{number:06d}" for number, hidden_name in enumerate(anonymous, start=1)]
    style = generator.integers(STYLES, size=count)
    taste = np.eye(STYLES)[style] + generator.normal(scale=0.2, size=(count, STYLES))
    # Neighbours on the circle of routines go together; which of the two neighbours, only a subject's past tells.
    first_intent = generator.integers(len(catalogue.routines), size=count)
    intents = (first_intent[:, None] + np.arange(config.intents)) % len(catalogue.routines)
    interval = DAY * config.visit_interval * generator.lognormal(sigma=config.visit_spread, size=count)
    return Population(
        ids=ids,
        index={subject_id: index for index, subject_id in enumerate(ids)},
        anonymous=anonymous,
        taste=taste,
        intents=intents,
        direction=generator.choice([-1, 1], size=count),
        interval=interval,
        phase=generator.random(count) * interval,
        usual=_choose_usual(config, catalogue, taste, generator),
        device=generator.choice(len(DEVICES), p=[0.55, 0.35, 0.1], size=count),
        personalisation=generator.random(count) < 0.95,
        training=generator.random(count) < 0.93,
    )


def _choose_usual(
    config: WorldConfig, catalogue: Catalogue, taste: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.int64]:
    items = catalogue.items_of(np.arange(catalogue.categories))
    shown = np.where(catalogue.hidden, -np.inf, catalogue.fame)[items]
    usual = np.empty((len(taste), catalogue.categories), dtype=np.int64)
    for category, members in enumerate(items):
        utility = config.taste_sharpness * taste @ catalogue.vector[members].T + shown[category]
        usual[:, category] = members[np.argmax(utility + generator.gumbel(size=utility.shape), axis=1)]
    return usual
