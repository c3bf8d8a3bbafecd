"""How a training run is shown: progress in words, curves, and the scores beside those of untrained baselines."""

from collections.abc import Mapping, Sequence
from typing import Any

from console.charts import chart_data, chart_options
from serving.models import RunStatus, TrainingRun

STAGES = {
    "snapshot": "Reading the event log",
    "text": "Encoding the items' texts",
    "search": "Searching for the best settings",
    "baselines": "Scoring the untrained baselines",
    "training": "Training",
    "evaluating": "Evaluating on the newest events",
    "saving": "Saving the version",
    "gate": "At the promotion gate",
}
# Share of a run that is over when a stage begins, and when it ends; training takes most of it.
STAGE_SHARES = {
    "search": (0.0, 1.0),
    "snapshot": (0.0, 0.05),
    "text": (0.05, 0.05),
    "baselines": (0.05, 0.1),
    "training": (0.1, 0.85),
    "evaluating": (0.85, 0.95),
    "saving": (0.95, 0.97),
    "gate": (0.97, 1.0),
}
# A search trains many times, the run itself once.
SEARCH_SHARE = 0.8


def percent_done(run: TrainingRun) -> int:
    """0 to 100. Early stopping may end the training stage sooner than it says."""
    if run.status == RunStatus.SUCCEEDED:
        return 100
    progress = run.progress or {}
    begin, end = STAGE_SHARES.get(progress.get("stage", ""), (0.0, 0.0))
    within = 0.0
    if progress.get("epochs"):
        step_share = progress["step"] / progress["steps"] if progress.get("steps") else 1.0
        within = min(1.0, (max(progress["epoch"] - 1, 0) + step_share) / progress["epochs"])
    share = begin + within * (end - begin)
    if run.config.get("search"):
        share = SEARCH_SHARE * share if progress.get("stage") == "search" else SEARCH_SHARE + (1 - SEARCH_SHARE) * share
    return round(100 * share)


def stage_in_words(run: TrainingRun) -> str:
    if run.status == RunStatus.QUEUED:
        return "Waiting for a worker of the train queue"
    progress = run.progress or {}
    words = STAGES.get(progress.get("stage", ""), "Starting")
    if progress.get("stage") == "training" and progress.get("epochs"):
        words += f", epoch {progress['epoch']} of at most {progress['epochs']}"
    if progress.get("stage") == "search" and progress.get("epochs"):
        words += f", trial {progress['epoch']} of {progress['epochs']}"
    return words


def score_rows(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The model's score and each baseline's, best first, with the lead of the model over each."""
    if not report:
        return []
    score = report["score"]
    rows = [{"name": "This model", "score": score, "lead": None}]
    for name, baseline in report["baselines"].items():
        lead = 100 * (score / baseline - 1) if baseline else None
        rows.append({"name": _predictor_name(name), "score": baseline, "lead": lead})
    return sorted(rows, key=lambda row: -row["score"])


def head_tables(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """For each prediction head a table of the model and the untrained by metric; none where there are no heads."""
    return [
        {
            "title": name.replace("_", " ").capitalize(),
            "cases": head["cases"],
            "metrics": [metric.replace("_", " ").capitalize() for metric in head["scores"]["model"]],
            "rows": [
                {"name": _predictor_name(predictor), "values": list(scores.values())}
                for predictor, scores in head["scores"].items()
            ],
        }
        for name, head in ((report or {}).get("heads") or {}).items()
    ]


def _predictor_name(predictor: str) -> str:
    return "This model" if predictor == "model" else f"{predictor.replace('_', ' ').capitalize()} (untrained)"


def curve_charts(curve: Sequence[Mapping[str, float]]) -> list[dict[str, str]]:
    """A chart of the losses and one of each ranking metric that was followed; none before the first epoch ended."""
    if not curve:
        return []
    epochs = [int(point["epoch"]) for point in curve]
    names = [name for name in curve[-1] if name != "epoch"]
    groups = [("Loss", [name for name in names if "loss" in name])]
    groups += [(name.upper(), [name]) for name in names if name.startswith("ndcg")]
    return [
        {
            "title": f"{title} by epoch",
            "data": chart_data(epochs, {name: [point.get(name) for point in curve] for name in members}),
            "options": chart_options(x="epoch", y="", legend=len(members) > 1, y_from_zero=False),
        }
        for title, members in groups
        if members
    ]


def run_context(run: TrainingRun) -> dict[str, Any]:
    report = run.report or {}
    return {
        "percent": percent_done(run),
        "stage": stage_in_words(run),
        "is_active": run.status in (RunStatus.QUEUED, RunStatus.RUNNING),
        "scores": score_rows(run.report),
        "heads": head_tables(run.report),
        "metric": report.get("metric", "").upper(),
        "counts": list(report.get("counts", {}).items()),
        "charts": curve_charts(run.curve),
    }
