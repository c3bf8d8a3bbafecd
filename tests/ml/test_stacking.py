"""Signals that are mixed where they help on cases held out."""

import numpy as np
import pytest

from ml.evaluation.stacking import Stack, choose_stack, fit_stack

CASES = 20_000


def cases(seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Clicks by logit 0.5 network + 2 near - 1; `noise` says nothing, `constant` is the same for all."""
    generator = np.random.default_rng(seed)
    signals = {
        "network": generator.normal(0.0, 2.0, CASES),
        "near": generator.uniform(-1.0, 1.0, CASES),
        "noise": generator.normal(0.0, 1.0, CASES),
        "constant": np.ones(CASES),
    }
    logit = 0.5 * signals["network"] + 2.0 * signals["near"] - 1.0
    return signals, (generator.random(CASES) < 1 / (1 + np.exp(-logit))).astype(np.int8)


def test_the_weights_that_made_the_clicks_are_found() -> None:
    signals, clicked = cases()
    stack = fit_stack(signals, ["network", "near", "constant"], clicked)
    assert stack.weights == pytest.approx({"network": 0.5, "near": 2.0, "constant": 0.0}, abs=0.1)
    assert stack.intercept == pytest.approx(-1.0, abs=0.1)


def test_signals_that_help_are_taken_and_others_are_not() -> None:
    signals, clicked = cases()
    stack = choose_stack(signals, "network", [["noise"], ["near", "constant"]], clicked, seed=0)
    assert list(stack.weights) == ["network", "near", "constant"]


def test_what_nothing_is_added_to_stays_as_it_is() -> None:
    generator = np.random.default_rng(0)
    logit = generator.normal(-3.0, 1.0, 500)
    clicked = (generator.random(500) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    signals = {"network": logit, "noise": generator.normal(0.0, 1.0, 500)}
    stack = choose_stack(signals, "network", [["noise"]], clicked, seed=0)
    assert stack == Stack({"network": 1.0})
    assert np.array_equal(stack(signals), logit)
    assert Stack(**stack.to_dict()) == stack
