"""Questions to the inference workers and their answers, through Valkey.

A caller appends its question to one list and waits on a reply key of its own. Workers are woken by a plain Celery
task, and take whatever waits by then in one go, so that batches form by themselves under load. Nothing here is kept:
a question whose worker dies is lost, and its caller's deadline speaks.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import redis
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from serving.once import Once

QUESTIONS = "sequitur:infer:questions"
WAKING = "sequitur:infer:waking"
REPLY = "sequitur:infer:reply:"
DRAIN_TASK = "serving.infer_batch"
# While a wake-up is under way nobody sends a second one; should it be lost with its worker, the next caller sends one
# after this time.
WAKING_MILLISECONDS = 200
# Wake-ups that piled up behind a dead worker are dropped unread.
WAKE_UP_EXPIRES = 10.0
# Of one caller's questions at most IN_FLIGHT wait at a time, put there SLICE by SLICE: workers always find the next
# batch, and what others ask meanwhile waits for two batches and not for all.
SLICE, IN_FLIGHT = 32, 64
# Answers that came too late and questions that nobody will take disappear after this time.
LEFTOVER_SECONDS = 30


class NoAnswer(RuntimeError):
    """Nobody answered in time: no worker, no Valkey, or both too slow."""


class AnswerFailed(RuntimeError):
    """A worker answered that it could not: its reason is the message."""


@dataclass(frozen=True)
class Question:
    tenant_id: int
    artifact: str
    request: Mapping[str, Any]
    reply_key: str

    def encode(self) -> str:
        return json.dumps([self.tenant_id, self.artifact, self.request, self.reply_key])


@dataclass(frozen=True)
class TextQuestion:
    """Texts whose vectors are asked for."""

    texts: Sequence[str]
    reply_key: str

    def encode(self) -> str:
        return json.dumps([self.texts, self.reply_key])


def decode(raw: str | bytes) -> Question | TextQuestion:
    fields = json.loads(raw)
    return TextQuestion(*fields) if len(fields) == 2 else Question(*fields)


@Once
def valkey() -> redis.Redis:
    """Connections that give up soon after the gateway's own deadline, so that a hung server cannot hold a request."""
    return redis.Redis.from_url(
        settings.VALKEY_URL,
        socket_timeout=settings.GATEWAY_DEADLINE + 0.25,
        socket_connect_timeout=settings.GATEWAY_DEADLINE,
        retry=Retry(NoBackoff(), 0),
    )


def ask(*, tenant_id: int, artifact: str, request: Mapping[str, Any], seconds: float) -> Any:
    """A worker's prediction for one request. Raises NoAnswer after `seconds`, AnswerFailed where it failed."""
    return _ask(Question(tenant_id, artifact, request, REPLY + uuid4().hex), seconds)["prediction"]


def ask_vectors(texts: Sequence[str], *, seconds: float) -> list[list[float]]:
    """A worker's vectors of texts, in their order. Raises as `ask` does."""
    return cast(list[list[float]], _ask(TextQuestion(list(texts), REPLY + uuid4().hex), seconds)["vectors"])


def _ask(question: Question | TextQuestion, seconds: float) -> dict[str, Any]:
    ends = time.monotonic() + seconds
    with _or_no_answer([question]):
        _put([question])
        popped = None
        while popped is None and (remaining := ends - time.monotonic()) > 0:
            # A longer wait in one piece would look like a hung server.
            popped = valkey().blpop([question.reply_key], timeout=min(remaining, settings.GATEWAY_DEADLINE))
        if popped is None:
            _take_back([question])
    if popped is None:
        raise NoAnswer(f"no worker answered within {seconds:.3f} s")
    answer: dict[str, Any] = json.loads(popped[1])
    if "error" in answer:
        raise AnswerFailed(answer["error"])
    return answer


def ask_many(
    *, tenant_id: int, artifact: str, requests: Sequence[Mapping[str, Any]], seconds: float
) -> list[dict[str, Any] | None]:
    """Workers' answers to many requests, in their order: {"prediction"}, {"error"}, or None.

    None where there was no answer within `seconds` (at most GATEWAY_DEADLINE) after the one before, which ends the
    waiting for all that follow too. Raises NoAnswer where Valkey or the broker fails.
    """
    questions = [Question(tenant_id, artifact, request, REPLY + uuid4().hex) for request in requests]
    raws: list[bytes | str | None] = []
    sent = 0
    with _or_no_answer(questions):
        for answered, question in enumerate(questions):
            while sent < len(questions) and sent - answered <= IN_FLIGHT - SLICE:
                _put(questions[sent : sent + SLICE])
                sent += SLICE
            popped = valkey().blpop([question.reply_key], timeout=min(seconds, settings.GATEWAY_DEADLINE))
            if popped is None:
                break
            raws.append(popped[1])
        left = questions[len(raws) : sent]
        if left:
            _take_back(left)
            with valkey().pipeline(transaction=False) as pipeline:
                for question in left:
                    pipeline.lpop(question.reply_key)
                raws += pipeline.execute()
    raws += [None] * (len(questions) - len(raws))
    return [None if raw is None else json.loads(raw) for raw in raws]


@contextmanager
def _or_no_answer(questions: Sequence[Question | TextQuestion]) -> Iterator[None]:
    try:
        yield
    except redis.TimeoutError as error:
        # It has the questions, or is about to; workers of a busy server have better things to do.
        with suppress(redis.RedisError):
            _take_back(questions)
        raise NoAnswer(f"Valkey: {error}") from error
    except (redis.RedisError, OperationalError, OSError) as error:
        raise NoAnswer(f"Valkey or broker: {error}") from error


def _put(questions: Sequence[Question | TextQuestion]) -> None:
    with valkey().pipeline(transaction=False) as pipeline:
        pipeline.rpush(QUESTIONS, *[question.encode() for question in questions])
        pipeline.expire(QUESTIONS, LEFTOVER_SECONDS)
        pipeline.set(WAKING, 1, nx=True, px=WAKING_MILLISECONDS)
        *_, nobody_wakes = pipeline.execute()
    if nobody_wakes:
        wake_worker()


def _take_back(questions: Sequence[Question | TextQuestion]) -> None:
    """Given up: no worker should spend time on them."""
    with valkey().pipeline(transaction=False) as pipeline:
        for question in questions:
            pipeline.lrem(QUESTIONS, 1, question.encode())
        pipeline.execute()


def wake_worker() -> None:
    """Send the task that drains the questions; fails at once rather than wait for a broker."""
    current_app.send_task(DRAIN_TASK, queue="infer", expires=WAKE_UP_EXPIRES, retry=False, ignore_result=True)


def begin_draining() -> None:
    """From now on a new question sends its own wake-up. Call it before the first `take`, or one could be missed."""
    valkey().delete(WAKING)


def take(count: int) -> list[Question | TextQuestion]:
    """Up to `count` waiting questions, oldest first."""
    waiting = cast(list[bytes] | None, valkey().lpop(QUESTIONS, count))
    return [decode(raw) for raw in waiting or []]


def reply(answers: Sequence[tuple[Question | TextQuestion, dict[str, Any]]]) -> None:
    with valkey().pipeline(transaction=False) as pipeline:
        for question, answer in answers:
            pipeline.rpush(question.reply_key, json.dumps(answer))
            pipeline.expire(question.reply_key, LEFTOVER_SECONDS)
        pipeline.execute()
