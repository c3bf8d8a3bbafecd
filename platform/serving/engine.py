"""The room's door to `ml/`: predictors in memory, rules without a model, training tasks.

torch is imported where it is first needed: a web process that asks a worker never loads it.
"""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError

from ml.nn.names import DEFAULT_INPUTS
from ml.serving.gathering import Gatherer
from ml.serving.predictor import load_predictor, load_rules
from ml.serving.requests import Predictor
from ml.serving.rules import RulesPredictor
from ml.tasks.configurations import CONFIGURATIONS
from serving.once import Once

if TYPE_CHECKING:
    from ml.data.item_features import ItemFeatures
    from ml.nn.text_encoder import TextEncoder
    from ml.serving.pool import PredictorPool
    from ml.tasks.base import Task

# Rules are memory-mapped, so that a kept one costs little.
RULES_KEPT = 64
GATHERERS_KEPT = 1024


def load() -> None:
    """Import what all tasks need, which takes seconds, before anybody waits for it."""
    import ml.tasks.registry  # noqa: F401


@Once
def predictors() -> "PredictorPool":
    """The predictors of this process, within MODEL_POOL_BYTES."""
    from ml.serving.pool import PredictorPool

    limit_threads()
    return PredictorPool(settings.MODEL_POOL_BYTES)


def predict(folder: Path, requests: Sequence[Any]) -> list[Any]:
    """Predictions of one artifact for a batch of its task's requests, in their order."""
    return predictors().get(folder).predict(list(requests))


def predict_one(folder: Path, request: Any) -> Any:
    """As `predict`, together with what other threads ask of the same artifact at this moment."""
    return _gatherer(folder).ask(request)


@lru_cache(maxsize=GATHERERS_KEPT)
def _gatherer(folder: Path) -> Gatherer[Any, Any]:
    return Gatherer(partial(predict, folder))


def open_predictor(folder: Path) -> Predictor:
    """A predictor of one's own, outside the pool."""
    limit_threads()
    return load_predictor(folder)


def flaw_of(folder: Path) -> str:
    """Why an artifact cannot be loaded; empty for a sound one."""
    try:
        open_predictor(folder)
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


@lru_cache(maxsize=RULES_KEPT)
def rules(folder: Path) -> RulesPredictor:
    """The untrained part of an artifact; numpy only. Raises OSError or ValueError for a broken artifact."""
    return load_rules(folder)


def knows_content(folder: Path) -> bool:
    """Whether an artifact's model can be told of items that it was not trained on."""
    from ml.serving.item_descriptions import knows_content

    return knows_content(folder)


def describe_items(
    tenant_id: int, folder: Path, *, attributes: Mapping[str, Sequence[list[str]]], texts: Sequence[str]
) -> "ItemFeatures":
    """Items in the terms of an artifact's model. Raises ValueError where its text encoder is not at hand."""
    from ml.serving.item_descriptions import describe_items, text_cache

    cache = text_cache(settings.SNAPSHOTS / str(tenant_id))
    return describe_items(folder, attributes=attributes, texts=texts, cache=cache)


def text_encoder() -> "TextEncoder":
    """The pretrained encoder that TEXT_ENCODER names. Raises ValueError where there is none."""
    from ml.nn.text_encoder import answering_encoder, encoder_name

    limit_threads()
    return answering_encoder(encoder_name())


def training_task(name: str) -> "Task[Any]":
    """Raises KeyError for an unknown task."""
    from ml.tasks.registry import TASKS

    limit_threads()
    return TASKS[name]


def usual_inputs() -> tuple[str, ...]:
    """What a model reads of the events where its configuration does not say."""
    return DEFAULT_INPUTS


def check_configuration(task: str, config: dict[str, Any]) -> None:
    """Raises ValidationError, keyed by field, where no run could use this."""
    if task not in CONFIGURATIONS:
        raise ValidationError({"task": f"'{task}' is unknown; known are {', '.join(sorted(CONFIGURATIONS))}"})
    try:
        CONFIGURATIONS[task].from_dict(config)
    except (ValueError, TypeError) as error:
        raise ValidationError({"config": str(error)}) from error


def limit_threads() -> None:
    """More torch threads than free cores make everything many times slower, and several processes share a machine."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
