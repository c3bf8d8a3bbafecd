"""Deciding: from a request to one recorded decision for each placement, with its price reserved."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.ads.auctions.asking import Ask, NoFill, with_audiences
from apps.ads.auctions.caps import capped_flights
from apps.ads.auctions.contest import Contest, Lead, open_contest
from apps.ads.auctions.personal import personalise
from apps.ads.auctions.snapshot import Snapshot, current_snapshot
from apps.ads.budgets.services import reservation_of, reserve
from apps.ads.settings import APPLICATION
from apps.ads.tracking.traffic import is_bot
from decisions.models import Decision
from decisions.services import store_decisions
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

# How often another flight is tried where a budget refused.
MOST_ROUNDS = 6
MOST_KEPT = 20  # keywords and categories that a decision keeps

DELIVER = """
    INSERT INTO ads_delivery (tenant_id, delivery_id, flight_id, creative_id, placement_id, subject_key, bid_kind,
        price_micros, reserved_micros, day, status, click_url, post_click_days, post_view_hours, placed_at, expires_at,
        conversions, revenue_micros, country, device, consent)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'open', %s, %s, %s, %s, %s, 0, 0, %s, %s, %s)"""


@dataclass(frozen=True)
class Placed:
    """The answer for one placement: an ad with its price, or why there is none."""

    decision_id: UUID
    placement: str
    lead: Lead | None
    no_fill: NoFill | None
    expires_at: datetime


def decide(ask: Ask) -> list[Placed]:
    """One answer for each placement, in their order; no flight is shown twice. Raises ValidationError for placements
    that are not there."""
    started = time.perf_counter()
    snapshot, now = current_snapshot(), timezone.now()
    if unknown := [key for key in ask.placements if key not in snapshot.placements]:
        raise ValidationError({"placements": f"there is no placement '{unknown[0]}'; make it first"})
    if "audiences" in snapshot.index.dimensions:
        ask = with_audiences(ask)
    contests = _open(snapshot, ask, now)
    personalise(contests, ask, now)
    day = now.astimezone(snapshot.settings.zone).date()
    leads, days = ({}, {}) if is_bot(ask.user_agent) else _award(contests, day)
    expires_at = now + timedelta(minutes=snapshot.settings.impression_minutes)
    _store(contests, leads, days, ask, now=now, expires_at=expires_at, started=started)
    return [
        Placed(
            contest.decision_id,
            contest.placement.key,
            leads.get(contest.decision_id),
            None if contest.decision_id in leads else _no_fill(contest, ask),
            expires_at,
        )
        for contest in contests
    ]


def _open(snapshot: Snapshot, ask: Ask, now: datetime) -> list[Contest]:
    local = now.astimezone(snapshot.settings.zone)
    capped = capped_flights(snapshot, ask.subject, now) if ask.subject else set()
    return [
        open_contest(
            snapshot,
            snapshot.placements[key],
            ask,
            decision_id=uuid7(),
            hour_of_week=24 * local.weekday() + local.hour,
            capped=capped,
        )
        for key in ask.placements
    ]


def _award(contests: Sequence[Contest], day: Any) -> tuple[dict[UUID, Lead], dict[UUID, Any]]:
    """(leads whose price is reserved, and the day on which it is) by decision. Budgets that refuse let the next in."""
    leads: dict[UUID, Lead] = {}
    days: dict[UUID, Any] = {}
    # Waiting for a row with others in hand could be a deadlock; with none it cannot.
    holds_rows = False
    for _ in range(MOST_ROUNDS):
        proposed: dict[UUID, Lead] = {}
        taken = {lead.ad.flight_id for lead in leads.values()}
        for contest in contests:
            if contest.decision_id not in leads and (lead := contest.lead(taken)) is not None:
                proposed[contest.decision_id] = lead
                taken.add(lead.ad.flight_id)
        if not proposed:
            break
        amounts = {lead.ad.flight_id: reservation_of(lead.ad.bid_kind, lead.price_micros) for lead in proposed.values()}
        reserved = reserve(amounts, day=day, wait=not holds_rows)
        for contest in contests:
            lead = proposed.get(contest.decision_id)
            if lead is None:
                continue
            if lead.ad.flight_id in reserved:
                leads[contest.decision_id] = lead
                days[contest.decision_id] = reserved[lead.ad.flight_id]
            else:
                _refuse(contests, lead, is_sure=not holds_rows)
        holds_rows = holds_rows or bool(reserved) or len(amounts) > 1
    return leads, days


def _refuse(contests: Sequence[Contest], lead: Lead, *, is_sure: bool) -> None:
    """One that was passed over because others were at its row may have money all the same."""
    for contest in contests:
        contest.refused[lead.ad.flight_id] = "budget" if is_sure else "busy"
    if is_sure:
        contests[0].snapshot.rest(lead.ad.flight_id)


def _no_fill(contest: Contest, ask: Ask) -> NoFill:
    losses = contest.losses()
    if is_bot(ask.user_agent):
        return NoFill("bot", losses)
    if not losses:
        return NoFill("won_elsewhere" if contest.order else "no_ads", losses)
    # The reason that came last on the way kept the others from being enough.
    return NoFill(list(losses)[-1].partition(".")[0], losses)


def _store(
    contests: Sequence[Contest],
    leads: dict[UUID, Lead],
    days: dict[UUID, Any],
    ask: Ask,
    *,
    now: datetime,
    expires_at: datetime,
    started: float,
) -> None:
    taken = {lead.ad.flight_id for lead in leads.values()}
    latency_ms = 1000 * (time.perf_counter() - started)
    decisions = [
        _decision(contest, leads.get(contest.decision_id), taken, ask, now, latency_ms) for contest in contests
    ]
    store_decisions(decisions)
    subject_key = ask.subject.key if ask.subject else None
    rows = [
        [
            current_tenant_id(),
            contest.decision_id,
            lead.ad.flight_id,
            lead.ad.creative_id,
            contest.placement.id,
            subject_key,
            lead.ad.bid_kind,
            lead.price_micros,
            reservation_of(lead.ad.bid_kind, lead.price_micros),
            days[contest.decision_id],
            lead.ad.click_url,
            lead.ad.post_click_days,
            lead.ad.post_view_hours,
            now,
            expires_at,
            ask.country,
            ask.device,
            ask.consent,
        ]
        for contest in contests
        if (lead := leads.get(contest.decision_id)) is not None
    ]
    if rows:
        with prepared_cursor() as cursor:
            cursor.executemany(DELIVER, rows) if len(rows) > 1 else cursor.execute(DELIVER, rows[0])


def _decision(
    contest: Contest, lead: Lead | None, taken: set[UUID], ask: Ask, now: datetime, latency_ms: float
) -> Decision:
    placement = contest.placement
    facts = {name: values[:MOST_KEPT] for name, values in ask.facts.items() if values}
    request = {
        "placement": placement.key,
        "facts": facts,
        "consent": ask.has_consent,
        "auction": placement.auction,
        "floor_micros": placement.floor_micros,
        "currency": placement.currency,
        **contest.account(lead, taken),
    }
    items = []
    if lead is None:
        request["no_fill"] = _no_fill(contest, ask).reason
    else:
        request |= {"price_micros": lead.price_micros, "bid_kind": lead.ad.bid_kind, "flight": str(lead.ad.flight_id)}
        items.append(
            {
                "id": str(lead.ad.creative_id),
                "rank": 1,
                "score": lead.score,
                "propensity": lead.propensity,
                "reasons": [],
                "rules": [],
                "parts": {"bid_micros": lead.ad.paced_bid, "rate": lead.rate, "quality": lead.ad.quality},
            }
        )
    return Decision(
        decision_id=contest.decision_id,
        decided_at=now,
        application=APPLICATION,
        scenario=placement.key,
        subject_key=ask.subject.key if ask.subject else None,
        policy=str(contest.snapshot.settings.decision_policy),
        request=request,
        items=items,
        latency_ms=latency_ms,
    )
