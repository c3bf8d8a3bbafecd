"""The challenger: a version that is not live is asked what it would have said, after the answers have gone out."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from django.utils import timezone

from apps.risk import engine
from apps.risk.assessments.settings import APPLICATION, MODEL, RiskSettings, current_settings, possible_challengers
from apps.risk.monitoring.models import ShadowScore
from apps.risk.monitoring.selectors import SLACK
from apps.risk.transactions.selectors import find_transactions, histories
from behavior.positions import move, take
from decisions.counting import first_id_since
from serving.models import ModelVersion, VersionStatus
from serving.selectors import live_version
from tenancy.scope import current_tenant_id

log = structlog.get_logger(__name__)

READER = "risk challenger"
BATCH = 300
# A decision is committed within moments of `decided_at`.
COMMITTED_AFTER = timedelta(seconds=5)
# What is older by the time that a worker comes to it is left out, so that a long pause is not made up for.
OLDEST = timedelta(minutes=10)
KEPT = timedelta(days=92)
# The share is cut by a hash of the id, so that the same assessments fall to every challenger.
HASHES = 1 << 20
WAITING = """
    SELECT decision_id, decided_at, request ->> 'transaction_id', request -> 'features'
    FROM decisions_decision
    WHERE tenant_id = %(tenant)s AND decision_id >= %(first_id)s AND decided_at >= %(since)s AND decided_at < %(until)s
        AND application = %(application)s AND uuid_hash_extended(decision_id, 0) & (%(hashes)s - 1) < %(below)s
    ORDER BY decided_at LIMIT %(batch)s"""


@dataclass(frozen=True)
class StoredTransaction:
    """A stored transaction as far as its history depends on it."""

    transaction_id: str
    occurred_at: datetime
    amount: float
    type: str
    subject_key: bytes
    counterparty: str | None
    device_key: bytes | None
    card_key: bytes | None


def find_challenger(settings: RiskSettings) -> ModelVersion | None:
    """The version that the settings name, or else the newest candidate made after the live version; never the live one
    and never one that the gate refused."""
    usable = possible_challengers()
    if settings.challenger_version:
        return usable.filter(number=settings.challenger_version).first()
    live = live_version(MODEL)
    if live is not None:
        usable = usable.filter(number__gt=live.number)
    return usable.filter(status=VersionStatus.CANDIDATE).order_by("-number").first()


def named_versions() -> list[UUID]:
    """The challenger, if there is one: its files are kept."""
    challenger = find_challenger(current_settings())
    return [challenger.id] if challenger else []


def ask_challenger() -> int:
    """Ask the challenger about the next batch of the tenant's newest assessments; how many were read.

    Nothing that was answered changes. A challenger that breaks is logged and its batch passed over. Safe to race: who
    comes second leaves it to the first.
    """
    settings = current_settings()
    challenger = find_challenger(settings) if settings.shadow_share else None
    if challenger is None:
        return 0
    now = timezone.now()
    place = take(READER, start=now - OLDEST)
    if place is None:
        return 0
    since, until = max(place.position, now - OLDEST), now - COMMITTED_AFTER
    waiting = _waiting(since, until, settings.shadow_share)
    if waiting:
        _ask(challenger, waiting)
    is_full = len(waiting) == BATCH
    move(place, waiting[-1][1] if is_full and waiting[-1][1] > since else max(until, since))
    return len(waiting)


def expire_shadow_scores() -> int:
    deleted, _ = ShadowScore.objects.filter(decision_id__lt=first_id_since(timezone.now() - KEPT)).delete()
    return deleted


def _waiting(since: datetime, until: datetime, share: float) -> list[tuple[Any, ...]]:
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "first_id": first_id_since(since - SLACK),
        "since": since,
        "until": until,
        "application": APPLICATION,
        "hashes": HASHES,
        "below": round(share * HASHES),
        "batch": BATCH,
    }
    with connection.cursor() as cursor:
        cursor.execute(WAITING, values)
        return cursor.fetchall()


def _ask(challenger: ModelVersion, waiting: list[tuple[Any, ...]]) -> None:
    """The histories are read anew, up to each transaction's own time; features are those that were stored."""
    stored = find_transactions([row[2] for row in waiting])
    asked = [row for row in waiting if row[2] in stored]
    names = StoredTransaction.__dataclass_fields__
    transactions = [
        StoredTransaction(**{name: value for name, value in stored[row[2]].items() if name in names}) for row in asked
    ]
    table = engine.tabled([json.loads(row[3]) if isinstance(row[3], str) else row[3] for row in asked])
    try:
        scores = engine.score_by_version(challenger.artifact, histories(transactions, stored), table)
    except Exception:
        log.exception("challenger_failed", version=str(challenger.id))
        return
    ShadowScore.objects.bulk_create(
        [
            ShadowScore(version=challenger.id, decision_id=row[0], score=score)
            for row, score in zip(asked, scores, strict=True)
        ],
        ignore_conflicts=True,
    )
