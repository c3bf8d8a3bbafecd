import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.evaluation.drift import (
    Reference,
    band_of,
    population_stability_index,
    reference_of,
    references_of,
)

values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), min_size=1, max_size=60)


def plain_index(edges: list[float], then: list[float], now: list[float]) -> float:
    """The definition in plain Python: bins end with their edge, NaN has its own, each count half a case more."""

    def shares(numbers: list[float]) -> list[float]:
        counts = [0.5] * (len(edges) + 2)
        for number in numbers:
            place = len(edges) + 1 if math.isnan(number) else sum(number > edge for edge in edges)
            counts[place] += 1
        return [count / sum(counts) for count in counts]

    return sum((b - a) * math.log(b / a) for a, b in zip(shares(then), shares(now), strict=True))


@given(values, values)
def test_the_index_is_its_definition(then: list[float], now: list[float]) -> None:
    reference = reference_of(then, bins=4)
    expected = plain_index(list(reference.edges), then, now)
    assert population_stability_index(reference, now) == pytest.approx(expected, abs=1e-12)
    assert expected >= 0


@given(values)
def test_what_does_not_change_has_no_drift(numbers: list[float]) -> None:
    assert population_stability_index(reference_of(numbers), numbers) == pytest.approx(0.0, abs=1e-12)


def test_ten_bins_hold_a_tenth_each() -> None:
    reference = reference_of(np.arange(1, 101))
    assert reference.counts == (10,) * 10
    assert reference.missing == 0


def test_a_shift_of_half_a_standard_deviation_is_seen_and_a_fresh_sample_is_not() -> None:
    generator = np.random.default_rng(0)
    reference = reference_of(generator.normal(size=20_000))
    assert band_of(population_stability_index(reference, generator.normal(size=5_000))) == "steady"
    assert band_of(population_stability_index(reference, generator.normal(0.4, size=5_000))) == "watch"
    assert band_of(population_stability_index(reference, generator.normal(0.7, size=5_000))) == "drifted"


def test_a_flag_and_missing_values_drift_too() -> None:
    table = np.stack([np.arange(1_000) % 10 == 0, np.full(1_000, 3.0)], axis=1).astype(np.float64)
    references = references_of(table, ["new_counterparty", "card_count_1d"])
    later = table.copy()
    later[::2, 1] = np.nan
    drift = [population_stability_index(references[name], later[:, place]) for place, name in enumerate(references)]
    assert drift[0] == pytest.approx(0.0)
    assert band_of(drift[1]) == "drifted"


def test_a_reference_survives_json() -> None:
    reference = reference_of([1.0, 2.0, math.nan, 5.0], bins=3)
    assert Reference.from_dict(json.loads(json.dumps(reference.to_dict()))) == reference
    with pytest.raises(ValueError, match="rising edges"):
        Reference.from_dict({"edges": [2, 1], "counts": [1, 1, 1], "missing": 0})


def test_values_that_are_all_missing_or_infinite_make_a_reference() -> None:
    assert population_stability_index(reference_of([math.nan] * 5), [math.nan] * 9) < 0.05
    assert np.isfinite(population_stability_index(reference_of([math.inf, 1.0, 2.0]), [math.inf]))
