"""Files of model versions that nothing asks any more are deleted; their rows stay, since decisions name them.

Who may open the files of a version, which therefore keeps them:

- the gateway: the live and the previous version of its line (rollback swaps these two), and the newest one, whose rules
  answer where no model does;
- the gate, and a run that goes on from earlier weights: the version that was live when the run began. A line that is
  being trained is left alone;
- whoever promotes: the KEPT_VERSIONS newest that the gate passed, and each candidate for CANDIDATE_KEPT;
- an application: what it names by `register_named_versions`, such as both arms of an experiment that runs.

Drift and auctions read the live version, back-tests and comparisons stored scores. An explanation asks the version that
answered, and says so where its files are gone.
"""

import shutil
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from serving.artifacts import run_folder
from serving.models import ACTIVE_STATUSES, ModelVersion, TrainingRun, VersionStatus
from serving.services import lock_deployment
from tenancy.scope import current_tenant_id
from tenancy.tasks import task_scope

CANDIDATE_KEPT = timedelta(days=30)

_named: list[Callable[[], Iterable[UUID]]] = []


def register_named_versions(named: Callable[[], Iterable[UUID]]) -> None:
    """Let an application keep the files of versions of the tenant in scope. Whoever names another one locks its row
    first, and takes none without files."""
    _named.append(named)


def sweep() -> None:
    """All lines of models of the running task's tenant."""
    with task_scope():
        lines = list(ModelVersion.objects.order_by().values_list("model", flat=True).distinct())
    for model in lines:
        _sweep_line(model)


def _sweep_line(model: str) -> None:
    """First the versions are marked and then, when nobody can take them any more, their files deleted: also those that
    an interrupted sweep has left."""
    with task_scope():
        tenant_id = current_tenant_id()
        if not TrainingRun.objects.filter(model=model, status__in=ACTIVE_STATUSES).exists():
            _mark_unneeded(model)
        marked = ModelVersion.objects.filter(model=model, files_deleted_at__isnull=False)
        folders = [run_folder(tenant_id, model, run_id) for run_id in marked.values_list("run_id", flat=True)]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _mark_unneeded(model: str) -> None:
    deployment = lock_deployment(model)
    versions = ModelVersion.objects.filter(model=model, files_deleted_at=None).order_by("-number")
    statuses = dict(versions.select_for_update().values_list("id", "status"))
    passed = [version_id for version_id, status in statuses.items() if status != VersionStatus.REFUSED]
    kept: set[UUID | None] = {*list(statuses)[:1], *passed[: settings.KEPT_VERSIONS]}
    if deployment:
        kept |= {deployment.live_version_id, deployment.previous_version_id}
    # Read once the rows are locked, so that what is named at this moment is seen.
    kept.update(version_id for named in _named for version_id in named())
    now = timezone.now()
    young = {"status": VersionStatus.CANDIDATE, "created_at__gt": now - CANDIDATE_KEPT}
    versions.filter(id__in=statuses.keys() - kept).exclude(**young).update(files_deleted_at=now)
