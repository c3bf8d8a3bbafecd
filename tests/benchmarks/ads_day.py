"""A simulated day of ad placement: whether budgets are spent, how evenly, and what places are worth to who gets them.

A million requests and 200 flights whose budgets are two thirds of what they would spend without them, on days (seeds)
that nothing was chosen on: one, or three with `--full`. The floor is a day without controllers.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ml.simulation.ad_day import HOURS, AdDay, AdWorld, greatest_welfare, make_world, play

REQUESTS, FLIGHTS = 1_000_000, 200
SEEDS = (101, 102, 103)
QUICK_SEEDS = SEEDS[:1]
PACINGS = ("adaptive", "pid")


def measure(*, data: Path | None, full: bool) -> list[dict[str, Any]]:
    found: dict[str, list[dict[str, float]]] = {pacing: [] for pacing in ("asap", *PACINGS)}
    for seed in SEEDS if full else QUICK_SEEDS:
        world = make_world(requests=REQUESTS, flights=FLIGHTS, seed=seed)
        most_liquid = greatest_welfare(world)
        for pacing, days in found.items():
            days.append(figures(world, play(world, pacing, seed=seed), most_liquid))
            print(f"seed {seed}, {pacing}: {days[-1]}", flush=True)
    mean = {
        pacing: {name: float(np.mean([day[name] for day in days])) for name in days[0]}
        for pacing, days in found.items()
    }
    return [
        record("ads.pacing.budget_error", "budget_error", "<= 0.01", mean, found),
        record("ads.pacing.hours_within_tenth", "hours_within_tenth", ">= 0.95", mean, found),
        record("ads.pacing.value_vs_optimum", "welfare", ">= 0.95", mean, found),
    ]


def figures(world: AdWorld, day: AdDay, most_liquid: float) -> dict[str, float]:
    plan = day.budgets[day.able].sum() / HOURS
    total = np.abs(day.spend[:, day.able].sum(axis=1) / plan - 1)
    return {
        "budget_error": float(day.budget_errors.max(initial=0.0)),
        "hours_within_tenth": float((day.hourly_errors <= 0.1).mean()),
        "worst_hour_of_all": float(total.max(initial=0.0)),
        "welfare": float(day.value.sum() / greatest_welfare(world, day.prices)),
        "liquid_welfare": day.liquid_welfare / most_liquid,
        "value_in_budgets": float(day.value.sum() / day.budgets.sum()),
        "able_flights": float(day.able.sum()),
        "overspent": float((day.spend.sum(axis=0) > day.budgets).sum()),
    }


def record(
    name: str, figure: str, aim: str, mean: dict[str, dict[str, float]], found: dict[str, list[dict[str, float]]]
) -> dict[str, Any]:
    values = [day[figure] for day in found["adaptive"]]
    return {
        "id": name,
        "value": float(np.mean(values)),
        "spread": float(np.std(values)),
        "seeds": len(values),
        "floor": mean["asap"][figure],
        "aim": aim,
        "detail": {"requests": REQUESTS, "flights": FLIGHTS, **mean["adaptive"]}
        | {f"pid_{key}": value for key, value in mean["pid"].items()}
        | {f"without_{key}": value for key, value in mean["asap"].items()},
    }
