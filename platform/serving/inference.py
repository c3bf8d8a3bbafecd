"""The worker's side of the gateway: waiting questions in, one forward pass per artifact, an answer to each."""

from collections import defaultdict
from typing import Any

import structlog

from serving import engine, inbox, new_items
from serving.artifacts import resolve_artifact
from serving.inbox import Question

log = structlog.get_logger(__name__)

BATCH = 32
# After this many batches the worker looks at its other duties and wakes itself again.
BATCHES_IN_A_ROW = 64


def drain() -> int:
    """Answer what waits, and return how many questions that were."""
    answered = 0
    inbox.begin_draining()
    for _ in range(BATCHES_IN_A_ROW):
        questions = inbox.take(BATCH)
        if not questions:
            return answered
        inbox.reply(answer(questions))
        answered += len(questions)
    inbox.wake_worker()
    return answered


def answer(questions: list[Question]) -> list[tuple[Question, dict[str, Any]]]:
    """Each question with {"prediction"} or {"error"}."""
    groups: dict[tuple[int, str], list[Question]] = defaultdict(list)
    for question in questions:
        groups[question.tenant_id, question.artifact].append(question)
    return [pair for group in groups.values() for pair in _answer_group(group)]


def _answer_group(group: list[Question]) -> list[tuple[Question, dict[str, Any]]]:
    tenant_id, artifact = group[0].tenant_id, group[0].artifact
    try:
        folder = resolve_artifact(tenant_id, artifact)
        predictions = engine.predict(folder, [question.request for question in group])
        new_items.keep_up(tenant_id, folder)
    except Exception as error:
        if len(group) > 1:
            # One unusable request must not cost the others their answer.
            return [pair for question in group for pair in _answer_group([question])]
        log.exception("prediction_failed", tenant=tenant_id, artifact=artifact)
        return [(group[0], {"error": f"{type(error).__name__}: {error}"})]
    return [(question, {"prediction": prediction}) for question, prediction in zip(group, predictions, strict=True)]
