"""The worker's side of the gateway: waiting questions in, one forward pass per artifact, an answer to each."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import structlog

from serving import engine, inbox, new_items, text_vectors
from serving.artifacts import resolve_artifact
from serving.inbox import Question, TextQuestion

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


def answer(questions: Sequence[Question | TextQuestion]) -> list[tuple[Question | TextQuestion, dict[str, Any]]]:
    """Each question with {"prediction"}, {"vectors"} or {"error"}."""
    groups: dict[tuple[int, str], list[Question]] = defaultdict(list)
    texts: list[TextQuestion] = []
    for question in questions:
        if isinstance(question, TextQuestion):
            texts.append(question)
        else:
            groups[question.tenant_id, question.artifact].append(question)
    answers: list[tuple[Question | TextQuestion, dict[str, Any]]] = []
    for group in groups.values():
        answers += _answer_group(group)
    return answers + _answer_texts(texts)


def _answer_texts(questions: list[TextQuestion]) -> list[tuple[TextQuestion, dict[str, Any]]]:
    if not questions:
        return []
    try:
        vectors = text_vectors.encode_if_loaded([text for question in questions for text in question.texts])
    except Exception as error:
        log.exception("texts_not_encoded", texts=len(questions))
        return [(question, {"error": f"{type(error).__name__}: {error}"}) for question in questions]
    if vectors is None:
        return [(question, {"error": "the text encoder is not loaded"}) for question in questions]
    rows = iter(vectors.tolist())
    return [(question, {"vectors": [next(rows) for _ in question.texts]}) for question in questions]


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
