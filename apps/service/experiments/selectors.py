"""Reads of experiments, and which arm a conversation belongs to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.service.engine import CROSS_ENCODER_MODEL, INTENT_MODEL, REPLY_MODEL
from apps.service.experiments.models import Arm, Experiment, ExperimentOutcome
from apps.service.replies.settings import SCENARIO
from decisions.experiments import arm_of
from serving.selectors import VersionReference, answered_by
from tenancy.kept import Kept

# Lines of models that answer within a reply.
LINES = (INTENT_MODEL, REPLY_MODEL, CROSS_ENCODER_MODEL)
ARMS = (Arm.CONTROL, Arm.CHALLENGER)


@dataclass(frozen=True)
class Running:
    """What answering needs to know of an experiment; `versions` and `shares` in the order of ARMS."""

    id: UUID
    name: str
    model: str
    versions: tuple[VersionReference, VersionReference]
    shares: tuple[float, float]


@dataclass(frozen=True)
class Exposure:
    """Which experiment and which of its arms a conversation is answered in."""

    experiment: Running
    arm: str
    version: VersionReference

    def to_dict(self) -> dict[str, Any]:
        """For the decision."""
        return {
            "id": str(self.experiment.id),
            "name": self.experiment.name,
            "model": self.experiment.model,
            "arm": self.arm,
            "version": self.version.number,
            "model_version": str(self.version.id),
        }


# Ended or begun, every process knows within this time, and a busy one asks the database once in it.
_running: Kept[Running | None] = Kept(seconds=1.0)


def experiments() -> QuerySet[Experiment]:
    """Newest first."""
    return Experiment.objects.select_related("control", "challenger").order_by("-started_at", "-id")


def named_versions() -> list[UUID]:
    """Of both arms of what runs: their files are kept."""
    running = experiments().filter(outcome=ExperimentOutcome.RUNNING)
    return [version_id for pair in running.values_list("control", "challenger") for version_id in pair]


def exposure_of(conversation_id: UUID | None) -> Exposure | None:
    """Of a conversation, always the same while the experiment runs; None where none runs."""
    running = _running.get(SCENARIO, _read_running) if conversation_id else None
    if running is None or conversation_id is None:
        return None
    place = arm_of(running.id, conversation_id.bytes, running.shares)
    return Exposure(running, str(ARMS[place]), running.versions[place])


@contextmanager
def answering(exposure: Exposure | None) -> Iterator[None]:
    """The version of the conversation's arm answers for its line within this block."""
    with answered_by({exposure.experiment.model: exposure.version} if exposure else {}):
        yield


def forget_running() -> None:
    """Have this process look again at once."""
    _running.clear()


def _read_running() -> Running | None:
    found = experiments().filter(scenario=SCENARIO, outcome=ExperimentOutcome.RUNNING).first()
    if found is None:
        return None
    control, challenger = (
        VersionReference(version.id, version.number, version.artifact) for version in (found.control, found.challenger)
    )
    return Running(found.id, found.name, found.model, (control, challenger), (1.0 - found.share, found.share))
