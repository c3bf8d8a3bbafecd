"""Publishing by name: services announce work without importing the tasks, which import the services."""

from uuid import UUID

from celery import signature

from tenancy.tasks import enqueue

# Without an inference worker (inline transport) nobody takes these.
LOADING_EXPIRES = 60.0


def enqueue_training(run_id: UUID) -> None:
    """Announce a run to the train queue once the transaction has committed."""
    enqueue(signature("serving.train", queue="train"), run_id=str(run_id))


def enqueue_loading(artifact: str) -> None:
    """Have an inference worker load a version before the first question about it comes."""
    enqueue(signature("serving.load_version", queue="infer", expires=LOADING_EXPIRES), artifact=artifact)
