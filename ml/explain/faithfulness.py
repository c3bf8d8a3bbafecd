"""Whether an explanation is true of the model: without the event that it names, the item's score should fall, and more
than without any other event (the erasure of DeYoung et al., 2020, section 4.2, one event at a time)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ml.serving.requests import NextItemPrediction, NextItemRequest, Predictor

Doubles = NDArray[np.float64]
RESAMPLES = 2_000
EVENT_FIELDS = ("items", "types", "times", "values")


@dataclass(frozen=True)
class Faithfulness:
    """How a method's named events fare against the others of the same history, over `cases` (request, item) pairs.

    named, random: mean share of the score that is lost without the named event, and without another one.
    difference, low, high: of the two, with a 95% bootstrap interval over requests. wins: the share of the other events
    whose absence costs less than that of the named one; half of those that cost the same count.
    """

    cases: int
    named: float
    random: float
    difference: float
    low: float
    high: float
    wins: float


def measure_faithfulness(
    predictor: Predictor, requests: Sequence[NextItemRequest], methods: Sequence[str], *, items: int = 3, seed: int = 0
) -> dict[str, Faithfulness]:
    """Each method's faithfulness on the first `items` of each request's list, and under "best" that of naming the
    event whose absence costs most, which no method can surpass.

    Every event should be one that the predictor knows and reads, and a request hold two or more. An item for which a
    method names no event is no case of it.
    """
    found: dict[str, list[Doubles]] = {name: [] for name in (*methods, "best")}
    for request in requests:
        asked = [cast(NextItemRequest, {**request, "count": items, "attribution": method}) for method in methods]
        answers = predictor.predict(asked)
        falls_LK = score_falls(predictor, request, answers[0])
        named = {name: answer["because"] for name, answer in zip(methods, answers, strict=True)}
        named["best"] = [int(event) for event in falls_LK.argmax(axis=0)]
        for name, events in named.items():
            rows = [_against_others(falls_LK[:, item], event) for item, event in enumerate(events) if event is not None]
            if rows:
                found[name].append(np.array(rows))
    return {name: summarise_falls(cases, seed) for name, cases in found.items() if cases}


def score_falls(predictor: Predictor, request: NextItemRequest, answer: NextItemPrediction) -> Doubles:
    """The share of each answered item's score that is lost without each event, (events, items); below 0 where the
    score rises."""
    asked = {"count": len(answer["items"]), "candidates": answer["items"], "exclude": []}
    without = [cast(NextItemRequest, {**_without(request, event), **asked}) for event in range(len(request["items"]))]
    scores = [dict(zip(each["items"], each["scores"], strict=True)) for each in predictor.predict(without)]
    left = np.array([[found[item] for item in answer["items"]] for found in scores])
    return 1.0 - left / np.maximum(answer["scores"], np.finfo(np.float64).tiny)


def _without(request: NextItemRequest, event: int) -> dict[str, Any]:
    lists = {name: [*request[name][:event], *request[name][event + 1 :]] for name in EVENT_FIELDS}  # type: ignore[literal-required]
    return {**request, **lists}


def _against_others(fall_L: Doubles, event: int) -> tuple[float, float, float]:
    """What is lost without the event, the mean of the others, and the share of them that it beats."""
    named, others = fall_L[event], np.delete(fall_L, event)
    return float(named), float(others.mean()), float(((others < named) + 0.5 * (others == named)).mean())


def summarise_falls(requests: Sequence[Doubles], seed: int) -> Faithfulness:
    """`requests` hold a row (named, random, wins) for each item of theirs."""
    means = np.array([rows.mean(axis=0) for rows in requests])
    difference = means[:, 0] - means[:, 1]
    drawn = np.random.default_rng(seed).integers(len(means), size=(RESAMPLES, len(means)))
    low, high = np.quantile(difference[drawn].mean(axis=1), (0.025, 0.975))
    named, random, wins = means.mean(axis=0)
    return Faithfulness(
        cases=sum(len(rows) for rows in requests),
        named=float(named),
        random=float(random),
        difference=float(difference.mean()),
        low=float(low),
        high=float(high),
        wins=float(wins),
    )
