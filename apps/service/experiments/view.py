"""What the console shows of an experiment."""

from typing import Any

from apps.service.experiments.models import Experiment
from apps.service.experiments.report import experiment_report
from console.figures import percent

TITLES = {
    "acceptance": "Accepted as they were",
    "edit_distance": "Changed by agents",
    "containment": "Contained",
    "satisfaction": "Satisfaction",
}
# Its values are ratings; those of all others shares.
RATING = "satisfaction"


def report_context(experiment: Experiment) -> dict[str, Any]:
    arms = experiment_report(experiment)
    measures = [
        {"title": title, "arms": [_shown(name, arm["arm"], arm["measures"][name]) for arm in arms]}
        for name, title in TITLES.items()
    ]
    return {"arms": arms, "measures": measures}


def _shown(name: str, arm: str, measure: dict[str, Any]) -> dict[str, Any]:
    return {
        "arm": arm,
        "conversations": measure["conversations"],
        "value": _value(name, measure["value"]),
        "interval": _range(name, measure["interval"]),
        "difference": "" if arm == "control" else _value(name, measure["difference"], sign="+"),
        "difference_interval": "" if arm == "control" else _range(name, measure["difference_interval"]),
        "verdict": {True: "better", False: "worse", None: ""}[measure["is_better"]],
    }


def _value(name: str, value: float | None, sign: str = "") -> str:
    if value is None:
        return "—"
    return f"{value:{sign}.2f}" if name == RATING else percent(value, 1, sign)


def _range(name: str, ends: list[float] | None) -> str:
    return "too few yet" if ends is None else " to ".join(_value(name, end) for end in ends)
