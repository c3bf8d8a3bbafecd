"""What the console shows of an experiment."""

from typing import Any

from apps.ads.campaigns.view import money
from apps.ads.experiments.models import Experiment
from apps.ads.experiments.report import experiment_report
from console.figures import percent


def report_context(experiment: Experiment) -> dict[str, Any]:
    currency = experiment.campaign.advertiser.currency
    return {"arms": [_shown(row, currency) for row in experiment_report(experiment)]}


def _shown(row: dict[str, Any], currency: str) -> dict[str, Any]:
    return row | {
        "spend": money(row["spend_micros"], currency),
        "share": percent(row["share"], 0),
        "ctr": percent(row["ctr"]),
        "ctr_interval": _range(row["ctr_interval"], "%"),
        "difference": "—" if row["difference"] is None else f"{100 * row['difference']:+.2f} points",
        "difference_interval": _range(row["difference_interval"], "points"),
    }


def _range(ends: list[float] | None, unit: str) -> str:
    return "too few readers yet" if ends is None else f"{100 * ends[0]:.2f} to {100 * ends[1]:.2f} {unit}"
