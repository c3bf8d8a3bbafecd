"""Deciding: from a request to one recorded decision for each placement, with its price reserved."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.ads.auctions.asking import Ask, NoFill, with_audiences
from apps.ads.auctions.caps import capped_flights
from apps.ads.auctions.contest import Contest, Lead, open_contest
from apps.ads.auctions.personal import personalise
from apps.ads.auctions.snapshot import Snapshot, current_snapshot
from apps.ads.auctions.storing import Answer, Occasion, with_members
from apps.ads.tracking.traffic import is_bot

# How often another flight is tried where a budget refused.
MOST_ROUNDS = 6
MOST_KEPT = 20  # keywords and categories that a decision keeps


@dataclass(frozen=True)
class Placed:
    """The answer for one placement: an ad with its price, or why there is none."""

    decision_id: UUID
    placement: str
    lead: Lead | None
    no_fill: NoFill | None
    expires_at: datetime


def decide(ask: Ask) -> list[Placed]:
    """One answer for each placement, in their order; no flight is shown twice, and none at an archived placement.
    Raises ValidationError for placements that never were."""
    started = time.perf_counter()
    snapshot, now = current_snapshot(), timezone.now()
    if unknown := [key for key in ask.placements if key not in snapshot.placements]:
        raise ValidationError({"placements": f"there is no placement '{unknown[0]}'; make it first"})
    if "audiences" in snapshot.index.dimensions:
        ask = with_audiences(ask)
    contests = _open(snapshot, ask, now)
    personalise(contests, ask, now)
    expires_at = now + timedelta(minutes=snapshot.settings.impression_minutes)
    occasion = Occasion(ask, str(snapshot.settings.decision_policy), now, expires_at, started)
    leads = _award(contests, occasion, now.astimezone(snapshot.settings.zone).date())
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


def _award(contests: Sequence[Contest], occasion: Occasion, day: date) -> dict[UUID, Lead]:
    """Leads whose price is reserved, by decision, all of them stored. Budgets that refuse let the next in."""
    leads: dict[UUID, Lead] = {}
    days: dict[UUID, date] = {}
    # Rows are waited for in order of flight alone, or it could be a deadlock; those that refused stay locked too.
    held: set[UUID] = set()
    if is_bot(occasion.ask.user_agent):
        _refuse_others(contests, leads, "bot")
    for _ in range(MOST_ROUNDS):
        proposed = _propose(contests, leads)
        if not proposed:
            break
        promises = {lead.ad.flight_id: lead.promise for lead in proposed.values()}
        answers = _answers(contests, leads | proposed, days, occasion.ask)
        can_wait = not held or min(promises) > max(held)
        reserved = occasion.place(answers, promises, day=day, wait=can_wait)
        for decision_id, lead in proposed.items():
            if lead.ad.flight_id in reserved:
                leads[decision_id], days[decision_id] = lead, reserved[lead.ad.flight_id]
            else:
                _refuse(contests, lead, is_sure=can_wait)
        if len(reserved) == len(proposed):
            return leads
        held.update(promises)
    _refuse_others(contests, leads, "not_tried")
    occasion.store(_answers(contests, leads, days, occasion.ask))
    return leads


def _propose(contests: Sequence[Contest], leads: Mapping[UUID, Lead]) -> dict[UUID, Lead]:
    """By decision, who leads where nobody is reserved yet; each flight once."""
    proposed: dict[UUID, Lead] = {}
    taken = {lead.flight_number for lead in leads.values()}
    for contest in contests:
        if contest.decision_id not in leads and (lead := contest.lead(taken)) is not None:
            proposed[contest.decision_id] = lead
            taken.add(lead.flight_number)
    return proposed


def _refuse(contests: Sequence[Contest], lead: Lead, *, is_sure: bool) -> None:
    """One that was passed over because others were at its row may have money all the same."""
    for contest in contests:
        contest.refused[lead.flight_number] = "budget" if is_sure else "busy"
    if is_sure:
        snapshot = contests[0].snapshot
        snapshot.refused |= snapshot.of_flight[lead.ad.flight_id]


def _refuse_others(contests: Sequence[Contest], leads: Mapping[UUID, Lead], reason: str) -> None:
    """Where nobody leads, nobody will."""
    taken = {lead.flight_number for lead in leads.values()}
    for contest in contests:
        if contest.decision_id not in leads:
            contest.refuse_others(taken, reason)


def _no_fill(contest: Contest, ask: Ask) -> NoFill:
    losses = contest.losses()
    if contest.placement.archived_at:
        return NoFill("archived", losses)
    if is_bot(ask.user_agent):
        return NoFill("bot", losses)
    numbers = contest.snapshot.flight_number
    if any(numbers[each] not in contest.refused for each in contest.order):
        return NoFill("won_elsewhere", losses)
    if not losses:
        return NoFill("no_ads", losses)
    # The reason that came last on the way kept the others from being enough.
    return NoFill(list(losses)[-1].partition(".")[0], losses)


def _answers(
    contests: Sequence[Contest], leads: Mapping[UUID, Lead], days: Mapping[UUID, date], ask: Ask
) -> list[Answer]:
    taken = {lead.flight_number for lead in leads.values()}
    return [
        _answer(contest, leads.get(contest.decision_id), days.get(contest.decision_id), taken, ask)
        for contest in contests
    ]


def _answer(contest: Contest, lead: Lead | None, day: date | None, taken: set[int], ask: Ask) -> Answer:
    placement = contest.placement
    facts = {name: values[:MOST_KEPT] for name, values in ask.facts.items() if values}
    request = {
        "placement": placement.key,
        "facts": facts,
        "consent": ask.has_consent,
        "auction": placement.auction,
        "floor_micros": placement.floor_micros,
        "currency": placement.currency,
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
    told = with_members(request, contest.account(lead, taken))
    return Answer(contest.decision_id, placement, told, items, lead, day)
