"""Visitors of the demonstration's shops who are served lists and react, so that the KPI of scenarios have a past."""

import random
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.recommendation.engine import World
from apps.recommendation.lists.asking import Ask
from apps.recommendation.scenarios import APPLICATION
from apps.recommendation.services import preview
from behavior.services import store_events
from behavior.subjects import read_subject
from decisions.counting import recount_kpi
from decisions.services import record_decision
from tenancy.scope import tenant_scope

DAYS = 14
SCENARIOS = ("home", "popular", "trending")
# One transaction for so many lists.
BATCH = 50
# Reactions to a list are over after so long; none may lie in the future.
REACTION = timedelta(minutes=15)


def subject_of(subject_id: str) -> dict[str, str]:
    """A subject of a simulated shop as a client names it."""
    return {"user_id" if subject_id.startswith("u-") else "anonymous_id": subject_id}


def serve_visitors(tenant_id: int, world: World, *, lists: int) -> None:
    """So many lists over the last two weeks (from the start of the month at the earliest, where the decisions' table
    begins), each with what came of it, and the KPI counted from them."""
    draws = random.Random(world.seed)
    moments = list(_moments(lists))
    for start in range(0, len(moments), BATCH):
        with tenant_scope(tenant_id):
            for moment in moments[start : start + BATCH]:
                _serve(world, draws.choice(world.subject_ids), draws.choice(SCENARIOS), moment)
    with tenant_scope(tenant_id):
        recount_kpi()


def _moments(lists: int) -> Iterator[datetime]:
    """Evenly spread, oldest first."""
    end = timezone.now() - REACTION
    month = end.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = max(end - timedelta(days=DAYS), month)
    for number in range(lists):
        yield start + (end - start) * ((number + 0.5) / lists)


def _id_of(moment: datetime) -> UUID:
    """A fresh id of version 7 that carries this time in its first 48 bits."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (uuid7().int & ((1 << 80) - 1)))


def _serve(world: World, visitor: str, scenario: str, moment: datetime) -> None:
    started = time.perf_counter()
    subject = read_subject(subject_of(visitor))
    answer = preview(Ask(scenario, subject))
    decision_id = _id_of(moment)
    record_decision(
        decision_id=decision_id,
        application=APPLICATION,
        scenario=scenario,
        subject_key=subject.key,
        model_version=answer.model_version,
        policy=answer.policy,
        degraded=answer.degraded,
        request={"count": len(answer.items)},
        items=answer.items,
        latency_ms=(time.perf_counter() - started) * 1000,
        decided_at=moment,
    )
    shown = [item["id"] for item in answer.items]
    reactions = world.respond(visitor, shown, moment, decision_id=str(decision_id))
    store_events(events=reactions, source="demo", historical=True)
