"""Who works on a training run: claimed by a conditional UPDATE, kept by a heartbeat, lost when another takes over.

Messages may come twice or never; the row decides. Whoever writes names itself as the lease's owner, so a worker that
was thought dead and is not can change nothing any more.
"""

import mmap
import threading
import time
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import Error, connection
from django.db.models import F, JSONField, Q, Value
from django.db.models.functions import Coalesce, JSONObject
from django.utils import timezone

from serving.models import RunStatus, TrainingRun
from serving.queues import enqueue_training
from tenancy.scope import tenant_scope

log = structlog.get_logger(__name__)

# A run whose worker died this often is likely to kill the next one too.
MOST_ATTEMPTS = 5
# Progress is for people; the lease needs a sign of life three times as often as it would expire.
HEARTBEAT_SECONDS = 2.0
# A queued run is announced again after this many leases: its message may be lost, or still waits its turn.
LEASES_IN_QUEUE = 5


# Not 0 once this worker is asked to end. Shared memory, because Celery tells only the parent of a prefork pool.
_ending = mmap.mmap(-1, 1)


class LeaseLost(RuntimeError):
    """The run was cancelled, or given to another worker."""


class RunTooLong(RuntimeError):
    """The run has been worked on for longer than the operator of the machine allows."""


class WorkerEnding(RuntimeError):
    """This worker was asked to end while it trained."""


def lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.TRAINING_LEASE)


def claim(run_id: UUID) -> TrainingRun | None:
    """Take a queued run of the tenant in scope; None when it is gone, finished or another worker's."""
    owner = uuid4()
    claimed = TrainingRun.objects.filter(id=run_id, status=RunStatus.QUEUED).update(
        status=RunStatus.RUNNING,
        lease_owner=owner,
        lease_expires_at=lease_end(),
        attempt=F("attempt") + 1,
        progress=JSONObject(seconds=Coalesce("progress__seconds", Value(0, JSONField()))),
        started_at=Coalesce(F("started_at"), timezone.now()),
        error="",
    )
    return TrainingRun.objects.get(id=run_id) if claimed else None


def update_held(run: TrainingRun, **values: Any) -> None:
    """Change the run while this worker holds it. Raises LeaseLost when it does no longer."""
    held = TrainingRun.objects.filter(id=run.id, status=RunStatus.RUNNING, lease_owner=run.lease_owner)
    if not held.update(**values):
        raise LeaseLost(f"run {run.id} was cancelled or is another worker's")


def let_go() -> None:
    """Have the runs of this worker handed back, so that they go on elsewhere at once and not after their lease."""
    _ending[0] = 1


def hand_back(run: TrainingRun) -> None:
    """Put the run that this worker holds back into the queue; its attempt does not count. Raises LeaseLost."""
    update_held(
        run,
        status=RunStatus.QUEUED,
        attempt=F("attempt") - 1,
        lease_owner=None,
        lease_expires_at=None,
        queued_at=timezone.now(),
    )
    enqueue_training(run.id)


def release_expired() -> list[UUID]:
    """Put runs whose worker went silent back into the queue, and fail those where that happened too often.

    Runs that have waited so long that their message may be lost are announced again. Returns all announced runs.
    """
    now = timezone.now()
    expired = Q(status=RunStatus.RUNNING, lease_expires_at__lt=now)
    TrainingRun.objects.filter(expired, attempt__gte=MOST_ATTEMPTS).update(
        status=RunStatus.FAILED,
        lease_owner=None,
        finished_at=now,
        error=f"the worker ended without a word {MOST_ATTEMPTS} times, most likely for want of memory; "
        "train with a smaller batch_tokens or dimension, or on a larger machine",
    )
    waiting = Q(
        status=RunStatus.QUEUED, queued_at__lt=now - LEASES_IN_QUEUE * timedelta(seconds=settings.TRAINING_LEASE)
    )
    due = TrainingRun.objects.select_for_update(skip_locked=True).filter(expired | waiting)
    run_ids = list(due.values_list("id", flat=True))
    TrainingRun.objects.filter(id__in=run_ids).update(status=RunStatus.QUEUED, lease_owner=None, queued_at=now)
    for run_id in run_ids:
        enqueue_training(run_id)
    return run_ids


class Heartbeat:
    """Renews the lease and writes the latest progress, from a thread with a database connection of its own.

    With the progress go the `seconds` that the run has been worked on, in all its attempts.

    So neither a long epoch nor a long snapshot lets the lease run out, and training never waits for the database. A
    database that is away for a while is borne: what counts is whether the row still names this worker afterwards.
    """

    def __init__(self, tenant_id: int, run: TrainingRun) -> None:
        self.tenant_id = tenant_id
        self.run = run
        self.lost = False
        self._begun = time.monotonic() - run.progress["seconds"]
        self._news: dict[str, Any] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{run.id}", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def report(self, **values: Any) -> None:
        """Have these fields of the run written with the next beat.

        Raises LeaseLost when the run is another's, WorkerEnding when this worker should let go of it, RunTooLong when
        it has been worked on for too long.
        """
        if self.lost:
            raise LeaseLost(f"run {self.run.id} was cancelled or is another worker's")
        if _ending[0]:
            raise WorkerEnding
        if self._seconds() > 3600 * settings.TRAINING_HOURS:
            raise RunTooLong(
                f"took longer than the {settings.TRAINING_HOURS:g} hours that a run may take here; train with fewer "
                "epochs or a smaller network"
            )
        self._news = self._news | values

    def _seconds(self) -> float:
        return time.monotonic() - self._begun

    def _beat(self) -> None:
        try:
            while not self._ended.wait(min(HEARTBEAT_SECONDS, settings.TRAINING_LEASE / 3)):
                self._renew()
        finally:
            connection.close()

    def _renew(self) -> None:
        progress = self._news.get("progress", {}) | {"seconds": round(self._seconds())}
        try:
            with tenant_scope(self.tenant_id):
                update_held(self.run, lease_expires_at=lease_end(), **self._news | {"progress": progress})
        except LeaseLost:
            self.lost = True
            self._ended.set()
        except Error as error:
            log.warning("lease_not_renewed", run=str(self.run.id), reason=str(error))
            connection.close()
