"""Conversions that are still to come: learned from without taking the newest clicks for lost ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import truncexpon

from ml.serving.predictor import load_predictor
from ml.simulation.impressions import DAY, simulate_conversions
from ml.tasks.click_rate_config import ConversionRateConfig
from ml.tasks.registry import TASKS
from ml.training.delayed_feedback import delayed_feedback_loss


def test_the_loss_is_the_likelihood_of_truncated_exponential_delays() -> None:
    """Against SciPy's truncated exponential distribution."""
    chance, rate = np.array([0.2, 0.6, 0.3, 0.7]), np.array([0.5, 3.0, 8.0, 1.0])
    converted, delay, elapsed = np.array([1, 0, 0, 1]), np.array([0.3, 0.0, 0.0, 0.9]), np.array([0.6, 0.2, 4.0, 1.0])
    by_delay = truncexpon(b=rate, scale=1 / rate)
    likelihood = np.where(converted == 1, chance * by_delay.pdf(delay), 1 - chance * by_delay.cdf(elapsed))
    found = delayed_feedback_loss(
        torch.from_numpy(np.log(chance / (1 - chance)))[None],
        *(torch.from_numpy(each) for each in (np.log(rate), converted, delay, elapsed)),
    )
    assert float(found) == pytest.approx(-np.log(likelihood).mean())


def test_the_true_rate_is_recovered_where_counting_is_too_low() -> None:
    """Clicks of the last window, observed now: the chance within the window, from one free logit and one free rate."""
    generator = np.random.default_rng(0)
    count, rate, chance = 40_000, 2.0, 0.3
    elapsed = generator.random(count)
    delay = truncexpon(b=rate, scale=1 / rate).rvs(count, random_state=generator)
    converted = (generator.random(count) < chance) & (delay <= elapsed)
    logit, log_rate = torch.zeros(1, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([logit, log_rate], max_iter=100)
    data = [torch.from_numpy(each.astype(np.float64)) for each in (converted, delay, elapsed)]

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = delayed_feedback_loss(logit.expand(1, count), log_rate.expand(count), *data)
        loss.backward()
        return loss

    optimizer.step(closure)
    # chance x (1 / (1 - exp(-rate)) - 1 / rate): what has come of clicks spread over the window.
    assert converted.mean() == pytest.approx(0.197, abs=0.01)
    assert float(logit.detach().sigmoid()) == pytest.approx(chance, abs=0.02)
    assert float(log_rate.detach().exp()) == pytest.approx(rate, rel=0.2)


def test_a_click_older_than_the_window_is_surely_without_conversion() -> None:
    one = torch.ones(1)
    losses = [
        float(delayed_feedback_loss(torch.tensor([[0.4]]), one, 0 * one, 0 * one, elapsed * one))
        for elapsed in (0.0, 0.5, 1.0, 9.0)
    ]
    assert losses[0] == 0.0
    assert losses[0] < losses[1] < losses[2] == losses[3]
    assert losses[3] == pytest.approx(-np.log(1 - 1 / (1 + np.exp(-0.4))))


def test_the_task_answers_with_the_rate_within_the_window(tmp_path: Path) -> None:
    """Delays of five days, a window of seven: when validation begins, many conversions of the training are missing."""
    simulated = simulate_conversions(20_000, mean_delay_days=5.0, seed=0)
    config = {
        "window_days": 7.0, "epochs": 6, "patience": 6, "batch_size": 256, "learning_rate": 1e-2, "averaging": 0.9,
        "hidden": 16, "dimension": 4, "dropout": 0.0, "embedding_dropout": 0.0, "threads": 1,
    }  # fmt: skip
    report = TASKS["conversion_rate"].fit(simulated.log, config, tmp_path, progress=lambda _: None)

    within = 1 - np.exp(-7.0 / 5.0)
    (answer,) = load_predictor(tmp_path).predict([{"candidates": {"creative": ["good", "poor"]}}])
    assert answer["probabilities"] == pytest.approx([0.3 * within, 0.1 * within], abs=0.035)
    assert report.split["test_time"] < simulated.log.time[-1] - 7.0 * DAY
    judged = TASKS["conversion_rate"].evaluate(
        tmp_path, simulated.log, since=report.split["test_time"], until=float("inf")
    )
    assert judged["information_gain"] == pytest.approx(report.score, abs=1e-6)


def test_what_is_known_at_a_moment_leaves_later_conversions_out() -> None:
    log = simulate_conversions(2_000, mean_delay_days=5.0, seed=1).log
    middle = float(log.time[1_000])
    known = log.known_at(middle)
    assert known.sum() < log.clicked[:1_000].sum()
    assert (known == np.where((log.clicked == 1) & (log.time + np.nan_to_num(log.delay) <= middle), 1, 0)).all()
    assert (replace(log, delay=np.full(2_000, np.nan)).known_at(middle) == log.clicked).all()


def test_a_window_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="window_days must be above 0"):
        ConversionRateConfig.from_dict({"window_days": 0})
