"""Writes: scenarios and decisions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NotRequired, TypedDict
from uuid import UUID

from django.db import connection
from django.utils import timezone

from decisions.models import Decision, Scenario
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor


class DecidedItem(TypedDict):
    """One served item. `rank` counts from 1; `propensity` lies in (0, 1]; `rules` names the rules that touched it.

    `parts` are what the score is made of, by name, where that was asked for: of a list the factors, of a ranking the
    summands.
    """

    id: str
    rank: int
    score: float
    propensity: float
    reasons: list[Any]
    rules: list[str]
    parts: NotRequired[dict[str, float]]


STORED = (
    "decision_id",
    "application",
    "scenario",
    "subject_key",
    "session_key",
    "model_version",
    "policy",
    "variant",
    "degraded",
    "latency_ms",
    "decided_at",
)
DOCUMENT = (*STORED, "request", "items")
# Written out, because every answer is stored and making the same statement from the model takes longer than the insert.
INSERT = f"""
    INSERT INTO decisions_decision (tenant_id, {", ".join(STORED)}, request, items)
    VALUES ({", ".join(["%s"] * (len(STORED) + 3))})"""

# As INSERT for many, to which an application may add a WHERE to make it a part of a statement of its own; %(decisions)s
# is what `rows_to_store` gives.
INSERT_MANY = f"""
    INSERT INTO decisions_decision (tenant_id, {", ".join(STORED)}, request, items)
    SELECT %(tenant)s, {", ".join(STORED)}, request, items FROM jsonb_to_recordset(%(decisions)s::jsonb) AS decided(
        decision_id uuid, application text, scenario text, subject_key bytea, session_key text, model_version uuid,
        policy text, variant text, degraded text, latency_ms double precision, decided_at timestamptz, request jsonb,
        items jsonb)"""


def record_decision(
    *,
    decision_id: UUID,
    application: str,
    scenario: str,
    policy: str,
    request: dict[str, Any],
    items: Sequence[DecidedItem],
    latency_ms: float,
    subject_key: bytes | None = None,
    session_key: str | None = None,
    model_version: UUID | None = None,
    variant: str | None = None,
    degraded: str | None = None,
    decided_at: datetime | None = None,
) -> Decision:
    """Store an answer for the tenant in scope with one INSERT.

    `decision_id` must be a fresh uuid7. A `decided_at` of the past is for demonstrations: the id must carry it too.
    """
    decision = Decision(
        decision_id=decision_id,
        application=application,
        scenario=scenario,
        subject_key=subject_key,
        session_key=session_key,
        model_version=model_version,
        policy=policy,
        variant=variant,
        degraded=degraded,
        request=request,
        items=list(items),
        latency_ms=latency_ms,
        decided_at=decided_at or timezone.now(),
    )
    with prepared_cursor() as cursor:
        cursor.execute(INSERT, _values(decision))
    return decision


def store_decisions(decisions: Sequence[Decision]) -> None:
    """Store answers that have nothing in common, in one go; each `decision_id` must be a fresh uuid7."""
    if decisions:
        with prepared_cursor() as cursor:
            cursor.execute(INSERT_MANY, {"tenant": current_tenant_id(), "decisions": rows_to_store(decisions)})


def rows_to_store(decisions: Sequence[Decision]) -> str:
    """Decisions as INSERT_MANY reads them."""
    return json.dumps([{name: getattr(each, name) for name in DOCUMENT} for each in decisions], default=_as_text)


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def _values(decision: Decision) -> list[Any]:
    documents = [connection.ops.adapt_json_value(document, None) for document in (decision.request, decision.items)]
    return [current_tenant_id(), *(getattr(decision, name) for name in STORED), *documents]


@dataclass(frozen=True)
class Served:
    """One of many answers that are recorded together; `decision_id` must be a fresh uuid7."""

    decision_id: UUID
    subject_key: bytes
    policy: str
    items: Sequence[DecidedItem]
    model_version: UUID | None = None
    degraded: str | None = None


def record_batch(
    *,
    batch: UUID,
    application: str,
    scenario: str,
    request: dict[str, Any],
    served: Sequence[Served],
    latency_ms: float,
) -> None:
    """Store answers to many subjects with one INSERT; they share `request`, and `latency_ms` is what each took.

    They are made ahead, and count as shown only once an event names them: `request["batch"]` tells such decisions.
    """
    Decision.objects.bulk_create(
        Decision(
            decision_id=each.decision_id,
            application=application,
            scenario=scenario,
            subject_key=each.subject_key,
            model_version=each.model_version,
            policy=each.policy,
            degraded=each.degraded,
            request={"batch": str(batch), **request},
            items=list(each.items),
            latency_ms=latency_ms,
        )
        for each in served
    )


def define_scenario(
    *, key: str, name: str, application: str, kind: str, model: str = "", settings: dict[str, Any] | None = None
) -> Scenario:
    """Create the scenario, or bring the one of this key to these values. Raises ValidationError for unusable ones."""
    scenario = Scenario.objects.filter(key=key).first() or Scenario(key=key)
    scenario.name, scenario.application, scenario.kind, scenario.model = name, application, kind, model
    scenario.settings = settings or {}
    scenario.clean_fields()
    scenario.save()
    return scenario
