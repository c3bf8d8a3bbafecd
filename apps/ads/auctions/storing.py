"""One statement for what an auction leaves: the reserved prices, the decisions, and the ads that were placed.

What somebody waits for costs a round trip and a plan for each statement, and rows of budgets stay locked meanwhile. So
the rows are written along with the reservation, where it succeeds in full.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.contest import Lead
from apps.ads.budgets.services import Promise, reserving, reserving_values
from apps.ads.campaigns.models import Placement
from apps.ads.settings import APPLICATION
from decisions.services import STORED
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

# Milliseconds until here, waiting for budgets included.
LATENCY = "latency_ms + 1000 * date_part('epoch', clock_timestamp() - statement_timestamp())"
# What each column of a decision is made of.
DECISION = {
    "decision_id": "decision_id",
    "application": f"'{APPLICATION}'",
    "scenario": "placement",
    "subject_key": "subject_key",
    "session_key": "NULL::text",
    "model_version": "NULL::uuid",
    "policy": "policy",
    "variant": "NULL::text",
    "degraded": "NULL::text",
    "latency_ms": LATENCY,
    "decided_at": "placed_at",
}
STORE = f"""
    answer AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%(answers)s::jsonb) AS answer(
            subject_key bytea, policy text, latency_ms double precision, placed_at timestamptz, expires_at timestamptz,
            country text, device text, consent smallint, decision_id uuid, placement text, request jsonb, items jsonb,
            placement_id uuid, flight_id uuid, creative_id uuid, bid_kind text, price_micros bigint,
            reserved_micros bigint, day date, click_url text, post_click_days smallint, post_view_hours smallint
        ) WHERE {{condition}}
    ),
    decided AS (
        INSERT INTO decisions_decision (tenant_id, {", ".join(STORED)}, request, items)
        SELECT %(tenant)s, {", ".join(DECISION[name] for name in STORED)}, request, items FROM answer
    ),
    delivered AS (
        INSERT INTO ads_delivery (tenant_id, delivery_id, flight_id, creative_id, placement_id, subject_key, bid_kind,
            price_micros, reserved_micros, day, status, click_url, post_click_days, post_view_hours, placed_at,
            expires_at, conversions, revenue_micros, country, device, consent)
        SELECT %(tenant)s, decision_id, flight_id, creative_id, placement_id, subject_key, bid_kind, price_micros,
            reserved_micros, {{day}}, 'open', click_url, post_click_days, post_view_hours, placed_at, expires_at, 0, 0,
            country, device, consent
        FROM answer {{reserved}} WHERE flight_id IS NOT NULL
    )"""
# Its commit need not wait for the disk. What is lost if the database itself is torn down within the next half second is
# the newest of what was promised, the reservation together with its decision and ad: such an ad is never billed. What
# is billed waits, and with it everything before.
UNHURRIED = "set_config('synchronous_commit', 'off', true)"
NOTHING_RESERVED = STORE.format(condition="true", day="day", reserved="")
ALL_RESERVED = STORE.format(
    condition="(SELECT count(*) FROM reserved) = %(wanted)s",
    day="coalesce(reserved.day, answer.day)",
    reserved="LEFT JOIN reserved USING (flight_id)",
)


def with_members(values: Mapping[str, Any], written: str) -> str:
    """JSON of an object with some values, one or more, and with members that are JSON already."""
    return f"{json.dumps(values)[:-1]}, {written}}}"


@dataclass(frozen=True)
class Answer:
    """One decision and, where an ad is shown, its delivery; `day` is that of a reservation that was made before.
    `request` is JSON."""

    decision_id: UUID
    placement: Placement
    request: str
    items: Sequence[Mapping[str, Any]]
    lead: Lead | None
    day: date | None

    def row(self) -> dict[str, Any]:
        row: dict[str, Any] = {
            "decision_id": str(self.decision_id),
            "placement": self.placement.key,
            "items": self.items,
        }
        if self.lead is None:
            return row
        ad = self.lead.ad
        return row | {
            "placement_id": str(self.placement.id),
            "flight_id": str(ad.flight_id),
            "creative_id": str(ad.creative_id),
            "bid_kind": ad.bid_kind,
            "price_micros": self.lead.price_micros,
            "reserved_micros": self.lead.promise.reserved_micros,
            "day": self.day and self.day.isoformat(),
            "click_url": ad.click_url,
            "post_click_days": ad.post_click_days,
            "post_view_hours": ad.post_view_hours,
        }


@dataclass(frozen=True)
class Occasion:
    """What all answers to one request share."""

    ask: Ask
    policy: str
    now: datetime
    expires_at: datetime
    started: float

    def place(
        self, answers: Iterable[Answer], promises: Mapping[UUID, Promise], *, day: date, wait: bool
    ) -> dict[UUID, date]:
        """As `budgets.services.reserve`; the answers are stored where every promise could be reserved."""
        values = self._values(answers) | reserving_values(promises) | {"day": day, "wanted": len(promises)}
        with prepared_cursor() as cursor:
            cursor.execute(_placing(len(promises), wait=wait), values)
            return {flight: reserved_on for flight, reserved_on, _ in cursor.fetchall()}

    def store(self, answers: Iterable[Answer]) -> None:
        """Answers whose ads are reserved already."""
        with prepared_cursor() as cursor:
            cursor.execute(f"WITH {NOTHING_RESERVED} SELECT {UNHURRIED}", self._values(answers))

    def _values(self, answers: Iterable[Answer]) -> dict[str, Any]:
        """Everything travels as one text: each value of its own costs the driver as much as reading it costs here."""
        shared = {
            "subject_key": f"\\x{self.ask.subject.key.hex()}" if self.ask.subject else None,
            "policy": self.policy,
            "latency_ms": 1000 * (time.perf_counter() - self.started),
            "placed_at": self.now.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "country": self.ask.country,
            "device": self.ask.device,
            "consent": self.ask.consent,
        }
        rows = [with_members(answer.row() | shared, f'"request": {answer.request}') for answer in answers]
        return {"tenant": current_tenant_id(), "answers": f"[{', '.join(rows)}]"}


@cache
def _placing(flights: int, *, wait: bool) -> str:
    return f"WITH {reserving(flights, wait=wait)}, {ALL_RESERVED} SELECT flight_id, day, {UNHURRIED} FROM reserved"
