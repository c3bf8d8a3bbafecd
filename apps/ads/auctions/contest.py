"""One placement of one request: who may compete, who leads, and why the others lost."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.index import bits_of, positions
from apps.ads.auctions.snapshot import Ad, Snapshot, Worth
from apps.ads.campaigns.models import Placement
from apps.ads.engine import clearing_price, rank
from apps.ads.experiments.splitting import hidden_from
from decisions.policies import draw, generator_of

# The best flights that are ranked, and those of the losers that are named.
MOST_RANKED = 32
MOST_NAMED = 10


@dataclass(frozen=True)
class Lead:
    """The ad that leads, its price in the unit of its bid, and the chance that the policy let it lead."""

    ad: Ad
    flight_number: int
    score: float
    price_micros: int
    propensity: float
    rate: float


@dataclass
class Contest:
    """Participants by falling score; at most one ad of each flight. `lost` holds bit sets of ads by reason. Flights go
    by their numbers in the snapshot."""

    decision_id: UUID
    placement: Placement
    snapshot: Snapshot
    worth: Worth
    generator: np.random.Generator
    order: list[int]
    lost: dict[str, int]
    refused: dict[int, str] = field(default_factory=dict)

    def lead(self, taken: set[int]) -> Lead | None:
        """Who is to be shown, among those that no other placement of the request took and whose budget allows it."""
        numbers = self.snapshot.flight_number
        left = [each for each in self.order if numbers[each] not in taken and numbers[each] not in self.refused]
        if not left:
            return None
        scores = self.worth.scores[left].tolist()
        policy = self.snapshot.settings.decision_policy
        place, propensity = (
            (0, 1.0 / scores.count(scores[0])) if policy.name == "greedy" else draw(policy, scores, self.generator)
        )
        position = left[place]
        ad, value = self.snapshot.ads[position], float(self.worth.values[position])
        next_score = scores[place + 1] if place + 1 < len(left) else 0.0
        quality = 1.0 if self.placement.auction == "second_price" else ad.quality
        floor = float(self.placement.floor_micros)
        price = clearing_price(value, quality, next_score, floor, self.placement.auction)
        # Rounded down, never above the bid.
        price_micros = min(ad.paced_bid, int(ad.paced_bid * price / value))
        rate = float(self.worth.rates[position])
        return Lead(ad, numbers[position], scores[place], price_micros, propensity, rate)

    def losses(self) -> dict[str, int]:
        """Ads by the reason for which they lost before the ranking, or for which their budget refused."""
        counts = {reason: bits.bit_count() for reason, bits in self.lost.items()}
        for reason in self.refused.values():
            counts[reason] = counts.get(reason, 0) + 1
        return counts

    def account(self, lead: Lead | None, taken: set[int]) -> dict[str, Any]:
        """What the decision keeps of the auction; bounded, whatever the number of ads."""
        return {
            "participants": [
                self.snapshot.describe(position, self.worth) | {"lost": self._why(position, lead, taken)}
                for position in self.order[: MOST_RANKED // 2]
            ],
            "ranked": len(self.order),
            "losses": self.losses(),
            "losers": {reason: self._named(bits) for reason, bits in self.lost.items()},
        }

    def _why(self, position: int, lead: Lead | None, taken: set[int]) -> str | None:
        flight = self.snapshot.flight_number[position]
        if lead is not None and flight == lead.flight_number:
            return None
        return self.refused.get(flight) or ("won_elsewhere" if flight in taken else "score")

    def _named(self, bits: int) -> list[str]:
        # Enough positions to hold so many flights.
        found = positions(bits, len(self.snapshot.ads))[: MOST_NAMED * self.snapshot.most_ads_of_flight]
        names = self.snapshot.flight_names
        return list(dict.fromkeys([names[position] for position in found.tolist()]))[:MOST_NAMED]


def open_contest(
    snapshot: Snapshot, placement: Placement, ask: Ask, *, decision_id: UUID, hour_of_week: int, capped: set[UUID]
) -> Contest:
    """Who competes for a placement; `capped` are flights that the subject has seen often or recently enough."""
    lost: dict[str, int] = {}
    generator = generator_of(decision_id)
    worth = snapshot.worth_at(placement)
    left = snapshot.of_shape.get((placement.width, placement.height, placement.currency), 0)
    if ask.subject is None:
        left = _drop(left, snapshot.identified, "consent" if not ask.has_consent else "no_subject", lost)
    facts = ask.facts | {"placements": [placement.key]}
    left = snapshot.index.match(left, facts, hour_of_week, lost)
    if snapshot.splits:
        # Whoever is not known is drawn anew for each decision.
        unit = ask.subject.key if ask.subject else decision_id.bytes
        left = _drop(left, hidden_from(snapshot.splits, unit), "experiment", lost)
    left = _drop(left, _of_flights(snapshot, capped), "cap", lost)
    if snapshot.resting:
        resting = {flight for flight in snapshot.resting.copy() if snapshot.is_resting(flight)}
        left = _drop(left, _of_flights(snapshot, resting), "budget", lost)
    found = positions(left, len(snapshot.ads))
    if snapshot.paced:
        # One draw for all ads of a flight.
        drawn = generator.random(len(snapshot.of_flight))[snapshot.flight_numbers[found]]
        found = _split(found, drawn < snapshot.pass_rates[found], "pacing", lost)
    found = _split(found, worth.sellable[found], "floor", lost)
    order = _ranked(snapshot, found, worth, generator)
    return Contest(decision_id, placement, snapshot, worth, generator, order, lost)


def _ranked(snapshot: Snapshot, found: NDArray[np.int64], worth: Worth, generator: np.random.Generator) -> list[int]:
    """The best ad of each of the best flights, by falling score; ties in an order of their own each time."""
    best: dict[int, int] = {}
    for position in found[rank(worth.scores[found], generator)].tolist():
        best.setdefault(snapshot.flight_number[position], position)
        if len(best) == MOST_RANKED:
            break
    return list(best.values())


def _drop(left: int, gone: int, reason: str, lost: dict[str, int]) -> int:
    if bits := left & gone:
        lost[reason] = bits
    return left & ~gone


def _split(found: NDArray[np.int64], keep: NDArray[np.bool_], reason: str, lost: dict[str, int]) -> NDArray[np.int64]:
    if keep.all():
        return found
    lost[reason] = bits_of(found[~keep])
    return found[keep]


def _of_flights(snapshot: Snapshot, flights: set[UUID]) -> int:
    bits = 0
    for flight in flights:
        bits |= snapshot.of_flight.get(flight, 0)
    return bits
