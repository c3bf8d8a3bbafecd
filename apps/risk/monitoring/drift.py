"""Whether scores and features still look as they did: in training, or in the four weeks before."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from apps.risk import engine
from apps.risk.monitoring.selectors import Sample, four_weeks_before, sample_of
from decisions.kpi import Period
from serving.artifacts import resolve_artifact
from serving.models import Deployment, ModelVersion
from tenancy.scope import current_tenant_id

# With fewer, a population stability index says more about chance than about drift.
LEAST = 200
HISTOGRAM_BINS = 20


@dataclass(frozen=True)
class FeatureDrift:
    """`index` is the population stability index; `band` is steady, watch or drifted."""

    name: str
    index: float
    band: str


@dataclass(frozen=True)
class Drift:
    """`against` says what the period is compared with: training, or the four weeks before; None where neither the
    period nor the time before holds LEAST assessments. `score` and the histograms are of the live version's scores
    alone; `features` has the largest index first."""

    against: Literal["training", "four weeks before"] | None
    sampled: int
    reference_sampled: int
    score: FeatureDrift | None
    features: list[FeatureDrift]
    histogram: list[int]
    reference_histogram: list[int]


def drift_of(period: Period, deployment: Deployment | None) -> Drift:
    """At most three queries and one small file."""
    now, before = sample_of(period, deployment), sample_of(four_weeks_before(period), deployment)
    trained = _trained(deployment.live_version) if deployment else None
    references = trained or (_references(before) if len(before.features) >= LEAST else None)
    if references is None or len(now.features) < LEAST:
        return Drift(None, len(now.features), len(before.features), None, [], _histogram(now), _histogram(before))
    has_scores = "score" in references and len(now.scores) >= LEAST
    found = [
        _drift(name, references[name], now.features[:, place])
        for place, name in enumerate(engine.FEATURES)
        if name in references
    ]
    return Drift(
        against="training" if trained else "four weeks before",
        sampled=len(now.features),
        reference_sampled=len(before.features),
        score=_drift("score", references["score"], now.scores) if has_scores else None,
        features=sorted(found, key=lambda each: -each.index),
        histogram=_histogram(now),
        reference_histogram=_histogram(before),
    )


def _trained(live: ModelVersion) -> dict[str, engine.Reference] | None:
    return engine.drift_references(resolve_artifact(current_tenant_id(), live.artifact))


def _references(sample: Sample) -> dict[str, engine.Reference]:
    features = engine.references_of(sample.features, engine.FEATURES)
    return features | ({"score": engine.reference_of(sample.scores)} if len(sample.scores) >= LEAST else {})


def _drift(name: str, reference: engine.Reference, values: np.ndarray) -> FeatureDrift:
    index = engine.population_stability_index(reference, values)
    return FeatureDrift(name, index, engine.band_of(index))


def _histogram(sample: Sample) -> list[int]:
    """Counts of scores in HISTOGRAM_BINS bins of equal width from 0 to 1."""
    counts, _ = np.histogram(np.clip(sample.scores, 0, 1), bins=HISTOGRAM_BINS, range=(0, 1))
    return [int(count) for count in counts]
