"""Reads: runs, versions, and which version of a line answers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import MappingProxyType
from uuid import UUID

from django.db.models import Q, QuerySet

from serving.models import ACTIVE_STATUSES, Deployment, DeploymentEvent, ModelVersion, TrainingRun
from tenancy.kept import Kept

# A promotion reaches every process within this time, and a busy process asks the database once in it.
LINE_SECONDS = 1.0


@dataclass(frozen=True)
class VersionReference:
    """What answering needs to know of a version."""

    id: UUID
    number: int
    artifact: str


@dataclass(frozen=True)
class ModelLine:
    """The versions of one line that may answer. `newest` may be a refused one: its untrained rules are still good."""

    live: VersionReference | None
    previous: VersionReference | None
    newest: VersionReference | None


_lines: Kept[ModelLine] = Kept(LINE_SECONDS)


# By line of models the version that an experiment has chosen for what is being answered now.
_chosen: ContextVar[Mapping[str, VersionReference]] = ContextVar("versions_chosen", default=MappingProxyType({}))


@contextmanager
def answered_by(versions: Mapping[str, VersionReference]) -> Iterator[None]:
    """Let these versions answer for their lines instead of the live ones, for this thread and within this block."""
    token = _chosen.set(versions)
    try:
        yield
    finally:
        _chosen.reset(token)


def current_line(model: str) -> ModelLine:
    """The line as it was at most a second ago. Where another version was chosen, the live one stands in for it."""
    line = _lines.get(model, lambda: read_line(model))
    chosen = _chosen.get().get(model)
    if chosen is None or chosen == line.live:
        return line
    return replace(line, live=chosen, previous=line.live)


def read_line(model: str) -> ModelLine:
    deployment = find_deployment(model)
    return ModelLine(
        live=_reference(deployment.live_version if deployment else None),
        previous=_reference(deployment.previous_version if deployment else None),
        newest=_reference(model_versions(model).order_by("-number").first()),
    )


def _reference(version: ModelVersion | None) -> VersionReference | None:
    return VersionReference(version.id, version.number, version.artifact) if version else None


def find_deployment(model: str) -> Deployment | None:
    return Deployment.objects.filter(model=model).select_related("live_version", "previous_version").first()


def deployments() -> QuerySet[Deployment]:
    return Deployment.objects.select_related("live_version", "previous_version").order_by("model")


def live_version(model: str) -> ModelVersion | None:
    deployment = find_deployment(model)
    return deployment.live_version if deployment else None


def model_versions(model: str | None = None) -> QuerySet[ModelVersion]:
    """Versions of one line or of all, newest first."""
    versions = ModelVersion.objects.select_related("run").order_by("-created_at")
    return versions.filter(model=model) if model else versions


def training_runs(model: str | None = None) -> QuerySet[TrainingRun]:
    """Runs of one line or of all, newest first."""
    runs = TrainingRun.objects.order_by("-created_at")
    return runs.filter(model=model) if model else runs


def runs_with_unneeded_snapshot() -> QuerySet[TrainingRun]:
    """Ended runs whose data is still there, but for those behind the versions that a new one is compared with."""
    answering = Deployment.objects.all()
    compared = ModelVersion.objects.filter(
        Q(id__in=answering.values("live_version")) | Q(id__in=answering.values("previous_version"))
    )
    ended = TrainingRun.objects.exclude(status__in=ACTIVE_STATUSES).exclude(snapshot="")
    return ended.exclude(id__in=compared.values("run"))


def deployment_history(model: str) -> QuerySet[DeploymentEvent]:
    return DeploymentEvent.objects.filter(model=model).select_related("from_version", "to_version")
