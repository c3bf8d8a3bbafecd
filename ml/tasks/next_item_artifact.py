"""Leaves a trained next-item model in its folder, complete once the report is there."""

import os
import shutil
from pathlib import Path
from typing import Any

from ml.serving.artifact import Artifact, write_json
from ml.serving.scorer import Scorer
from ml.serving.shortlist import save_shortlist
from ml.tasks.item_descriptions import ItemDescriptions

# The trials that have ended, for a search that is interrupted.
TRIALS = "trials.json"


def save_artifact(
    artifact: Artifact, scorer: Scorer, settings: dict[str, Any], descriptions: ItemDescriptions | None
) -> None:
    """Write all but the report; `settings` is the run's whole configuration."""
    from safetensors.torch import save_file

    partial = artifact.weights.with_name("model.safetensors.partial")
    save_file({name: weight.cpu().contiguous() for name, weight in scorer.model.state_dict().items()}, partial)
    os.replace(partial, artifact.weights)
    save_shortlist(artifact.path, scorer)
    if scorer.model.embedding.content is not None:
        scorer.model.embedding.content.features.save(artifact.path)
    if descriptions is not None and artifact.network.get("text_dimension"):
        descriptions.save(artifact.path)
    artifact.save(settings)


def finish_artifact(folder: Path, report: dict[str, Any]) -> None:
    """The report comes last: with it the artifact is complete, and a run that is started again only reads it."""
    write_json(folder / "report.json", report)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    shutil.rmtree(folder / "trials", ignore_errors=True)
    (folder / TRIALS).unlink(missing_ok=True)
