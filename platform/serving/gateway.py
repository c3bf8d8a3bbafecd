"""Predictions for the applications, always: from the live version, or from the next rung of the ladder.

The ladder: live version, previous version, rules without a model, nothing (the application then answers with
popularity). Each rung below the first is marked `degraded`. No failure of a model, a worker or Valkey becomes an
exception here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from prometheus_client import Counter, Histogram

from ml.serving.cross_encoder_requests import CrossEncoderPrediction, CrossEncoderRequest
from ml.serving.intent_requests import IntentPrediction, IntentRequest
from ml.serving.reply_requests import ReplyPrediction, ReplyRequest
from ml.serving.requests import (
    ClickRatePrediction,
    ClickRateRequest,
    NextItemPrediction,
    NextItemRequest,
    RankingPrediction,
    RankingRequest,
)
from ml.serving.risk_requests import RiskPrediction, RiskRequest
from ml.serving.rules import RulesPredictor
from serving import engine, inbox, new_items
from serving.artifacts import resolve_artifact
from serving.breaker import CircuitBreaker
from serving.inbox import AnswerFailed, NoAnswer
from serving.selectors import ModelLine, VersionReference, current_line
from tenancy.scope import current_tenant_id

log = structlog.get_logger(__name__)

Degraded = Literal["previous_version", "rules", "no_model"]
Prediction = TypeVar("Prediction")
Request = (
    NextItemRequest
    | RankingRequest
    | ClickRateRequest
    | RiskRequest
    | IntentRequest
    | ReplyRequest
    | CrossEncoderRequest
)

ANSWERS = Counter("sequitur_gateway_answers", "Predictions by rung of the ladder", ["rung"])
FAILURES = Counter("sequitur_gateway_failures", "Rungs that failed, by reason", ["reason"])
SECONDS = Histogram(
    "sequitur_gateway_seconds", "Time to an answer", buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
)

# Three callers in a row wait in vain, then one a second: a dead worker costs others nothing and is noticed when back.
_workers = CircuitBreaker(misses=3, probe_seconds=1.0)


@dataclass(frozen=True)
class Answer(Generic[Prediction]):
    """`model_version` is the version whose model or rules answered; `prediction` is None only for `no_model`."""

    prediction: Prediction | None
    model_version: UUID | None
    degraded: Degraded | None


def predict(model: str, request: NextItemRequest, deadline: float | None = None) -> Answer[NextItemPrediction]:
    """An answer for the tenant in scope within about `deadline` seconds (at most and by default GATEWAY_DEADLINE)."""
    started = time.monotonic()
    line = current_line(model)
    answer = _from_model(line, request, _end(started, deadline)) or _from_rules(line, request)
    return _count(answer or Answer(None, None, "no_model"), started)


def rank(model: str, request: RankingRequest, deadline: float | None = None) -> Answer[RankingPrediction]:
    """Scores of a list's items, as `predict`; such a model has no rules to fall back to."""
    started = time.monotonic()
    answer = _from_model(current_line(model), request, _end(started, deadline))
    return _count(answer or Answer(None, None, "no_model"), started)


def rates(model: str, request: ClickRateRequest, deadline: float | None = None) -> Answer[ClickRatePrediction]:
    """Chances of a click, or of a conversion, for each candidate, as `rank`."""
    started = time.monotonic()
    answer = _from_model(current_line(model), request, _end(started, deadline))
    return _count(answer or Answer(None, None, "no_model"), started)


def assess(model: str, requests: Sequence[RiskRequest], deadline: float | None = None) -> list[Answer[RiskPrediction]]:
    """How likely each transaction is fraud, as `rank`; several are sent at once, and each has its own deadline.

    Where there is a trained model but none answered, the answer is marked `rules`, since those of the application stand
    in for it.
    """
    return _each(model, requests, deadline)


def classify(
    model: str, requests: Sequence[IntentRequest], deadline: float | None = None
) -> list[Answer[IntentPrediction]]:
    """What the writer of each text wants, as `assess`."""
    return _each(model, requests, deadline)


def rank_replies(model: str, request: ReplyRequest, deadline: float | None = None) -> Answer[ReplyPrediction]:
    """Which of the request's replies fits its conversation, as `assess`."""
    found: Answer[ReplyPrediction] = _each(model, [request], deadline)[0]
    return found


def judge_passages(model: str, request: CrossEncoderRequest, seconds: float) -> Answer[CrossEncoderPrediction]:
    """How well each passage answers what is asked, as `rank`, within `seconds`, which may be more than the usual."""
    started = time.monotonic()
    answer = _from_model(current_line(model), request, started + seconds)
    return _count(answer or Answer(None, None, "no_model"), started)


def has_model(model: str) -> bool:
    """Whether any version may answer: worth asking before what a request would need is read."""
    return bool(_trained(current_line(model)))


def _each(model: str, requests: Sequence[Request], deadline: float | None) -> list[Answer[Any]]:
    line = current_line(model)
    fallback: Answer[Any] = Answer(None, None, "rules" if _trained(line) else "no_model")
    if len(requests) > 1:
        return _many(line, requests, fallback, deadline or settings.GATEWAY_DEADLINE)
    answers = []
    for request in requests:
        started = time.monotonic()
        answers.append(_count(_from_model(line, request, _end(started, deadline)) or fallback, started))
    return answers


def _many(line: ModelLine, requests: Sequence[Request], fallback: Answer[Any], seconds: float) -> list[Answer[Any]]:
    if settings.GATEWAY_TRANSPORT == "inline":
        return _all_here(line, requests) or [fallback] * len(requests)
    started = time.monotonic()
    return [_count(answer or fallback, started) for answer in _all_asked(line, requests, seconds)]


def _end(started: float, deadline: float | None) -> float:
    return started + min(deadline or settings.GATEWAY_DEADLINE, settings.GATEWAY_DEADLINE)


def _count(answer: Answer[Prediction], started: float) -> Answer[Prediction]:
    ANSWERS.labels(answer.degraded or "live").inc()
    SECONDS.observe(time.monotonic() - started)
    return answer


def predict_many(model: str, requests: Sequence[NextItemRequest]) -> list[Answer]:
    """Answers for the tenant in scope in the order of the requests, from one version, computed in this process.

    For work that nobody waits for: there is no deadline, and no inference worker is kept from those who do wait.
    """
    line = current_line(model)
    return _all_here(line, requests) or [
        _from_rules(line, request) or Answer(None, None, "no_model") for request in requests
    ]


def _all_here(line: ModelLine, requests: Sequence[Request]) -> list[Answer[Any]] | None:
    """Answers of one version, computed in this process in one batch; None where no version can be asked."""
    tenant_id = current_tenant_id()
    for version, degraded in _trained(line):
        try:
            folder = resolve_artifact(tenant_id, version.artifact)
            predictions = engine.predict(folder, requests)
            new_items.keep_up(tenant_id, folder)
            return [Answer(prediction, version.id, degraded) for prediction in predictions]
        except Exception:
            _failed("inline", version)
    return None


def _all_asked(line: ModelLine, requests: Sequence[Request], seconds: float) -> list[Answer[Any] | None]:
    """Answers of the workers to all requests, sent at once; None for those that no version answered.

    What a version fails on is asked of the previous one; what nobody answers is not, since the worker is the same.
    """
    answers: list[Answer[Any] | None] = [None] * len(requests)
    left = list(range(len(requests)))
    for version, degraded in _trained(line):
        if not left or not _workers.allows():
            break
        try:
            found = inbox.ask_many(
                tenant_id=current_tenant_id(),
                artifact=version.artifact,
                requests=[requests[place] for place in left],
                seconds=seconds,
            )
        except NoAnswer as error:
            found = [None] * len(left)
            log.info("no_answer", version=str(version.id), reason=str(error))
        if silent := sum(each is None for each in found):
            _workers.failed()
            FAILURES.labels("no_answer").inc(silent)
        else:
            _workers.succeeded()
        failed = []
        for place, each in zip(left, found, strict=True):
            if each is None:
                continue
            if "error" in each:
                failed.append(place)
                FAILURES.labels("worker").inc()
                log.error("version_failed", version=str(version.id), reason=each["error"])
            else:
                answers[place] = Answer(each["prediction"], version.id, degraded)
        left = failed
    return answers


def find_rules(model: str) -> tuple[UUID, RulesPredictor] | None:
    """The rules of the newest version that can be read, and that version's id: similar and popular items."""
    for version in _rules_versions(current_line(model)):
        try:
            return version.id, engine.rules(resolve_artifact(current_tenant_id(), version.artifact))
        except Exception:
            _failed("rules", version)
    return None


def _from_model(line: ModelLine, request: Request, ends: float) -> Answer[Any] | None:
    for version, degraded in _trained(line):
        try:
            return Answer(_ask(version, request, ends), version.id, degraded)
        except NoAnswer as error:
            # The previous version would be asked of the same silent worker.
            FAILURES.labels("no_answer").inc()
            log.info("no_answer", version=str(version.id), reason=str(error))
            return None
        except AnswerFailed as error:
            FAILURES.labels("worker").inc()
            log.error("version_failed", version=str(version.id), reason=str(error))
        except Exception:
            _failed("inline", version)
    return None


def _ask(version: VersionReference, request: Request, ends: float) -> Any:
    tenant_id = current_tenant_id()
    if settings.GATEWAY_TRANSPORT == "inline":
        folder = resolve_artifact(tenant_id, version.artifact)
        prediction = engine.predict_one(folder, request)
        new_items.keep_up(tenant_id, folder)
        return prediction
    if not _workers.allows():
        raise NoAnswer("no worker has answered lately")
    try:
        prediction = inbox.ask(
            tenant_id=tenant_id, artifact=version.artifact, request=request, seconds=ends - time.monotonic()
        )
    except NoAnswer:
        _workers.failed()
        raise
    except AnswerFailed:
        _workers.succeeded()
        raise
    _workers.succeeded()
    return prediction


def _from_rules(line: ModelLine, request: NextItemRequest) -> Answer[NextItemPrediction] | None:
    for version in _rules_versions(line):
        try:
            rules = engine.rules(resolve_artifact(current_tenant_id(), version.artifact))
            return Answer(rules.predict([request])[0], version.id, "rules")
        except Exception:
            _failed("rules", version)
    return None


def _trained(line: ModelLine) -> list[tuple[VersionReference, Degraded | None]]:
    """The versions whose models are asked, in order, and what the answer of each is marked as."""
    rungs: list[tuple[VersionReference | None, Degraded | None]] = [
        (line.live, None),
        (line.previous, "previous_version"),
    ]
    return [(version, degraded) for version, degraded in rungs if version is not None]


def _rules_versions(line: ModelLine) -> list[VersionReference]:
    """Newest first, each once."""
    return list(dict.fromkeys(version for version in (line.newest, line.live, line.previous) if version))


def _failed(reason: str, version: VersionReference) -> None:
    FAILURES.labels(reason).inc()
    log.exception("version_failed", version=str(version.id), artifact=version.artifact)
