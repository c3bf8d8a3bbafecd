"""One placement of one request: who may compete, who leads, and why the others lost."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.index import bits_of, positions
from apps.ads.auctions.pricing import price_of_event
from apps.ads.auctions.snapshot import Ad, Snapshot, Worth
from apps.ads.budgets.services import Promise, promise_of
from apps.ads.campaigns.models import Placement
from apps.ads.campaigns.targeting import normal
from apps.ads.engine import clearing_price, rank
from apps.ads.experiments.splitting import hidden_from
from decisions.policies import draw, generator_of

# The best flights that are ranked.
MOST_RANKED = 32
# Those of them that a decision tells of, and the losers that it names for each reason: so many that a row of decisions
# still fits into its page, as more than 2 KB would not.
MOST_TOLD = 8
MOST_NAMED = 3


@dataclass(frozen=True)
class Lead:
    """The ad that leads, its price in the unit of its bid, and the chance that the policy let it lead."""

    ad: Ad
    position: int
    flight_number: int
    score: float
    price_micros: int
    propensity: float
    rate: float

    @cached_property
    def promise(self) -> Promise:
        return promise_of(self.ad.bid_kind, self.price_micros, self.rate)


@dataclass
class Contest:
    """Participants by falling score: the best ad of each flight (`order`), of all ads that may be shown (`able`).
    `lost` holds bit sets of ads by reason; `cut` are flights that a lot alone left out of the ranking, all of the score
    `cut_score`. Flights go by their numbers in the snapshot."""

    decision_id: UUID
    placement: Placement
    snapshot: Snapshot
    worth: Worth
    order: list[int] = field(default_factory=list)
    able: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    cut: set[int] = field(default_factory=set)
    cut_score: float = 0.0
    lost: dict[str, int] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    @cached_property
    def generator(self) -> np.random.Generator:
        """Made where something is left to chance; making one takes as long as an auction without."""
        return generator_of(self.decision_id)

    def lead(self, taken: set[int]) -> Lead | None:
        """Who is to be shown, among those that no other placement of the request took and whose budget allows it."""
        numbers = self.snapshot.flight_number
        left = [each for each in self.order if numbers[each] not in taken and numbers[each] not in self.refused]
        if not left:
            return None
        scores = self.worth.scores[left].tolist()
        place, chance = self._draw_flight(scores, taken)
        position, chance_in_flight = self._draw_creative(left[place])
        ad, value = self.snapshot.ads[position], float(self.worth.values[position])
        score, rate = float(self.worth.scores[position]), float(self.worth.rates[position])
        next_score = next((each for each in scores[place + 1 :] if each <= score), 0.0)
        quality = 1.0 if self.placement.auction == "second_price" else ad.quality
        floor = float(self.placement.floor_micros)
        price = clearing_price(value, quality, next_score, floor, self.placement.auction)
        price_micros = price_of_event(ad.bid_kind, ad.paced_bid, price=price, value=value, rate=rate, floor=floor)
        return Lead(ad, position, numbers[position], score, price_micros, chance * chance_in_flight, rate)

    def of_flight(self, position: int) -> list[int]:
        """All ads of the flight of a participant that may be shown."""
        if self.snapshot.most_ads_of_flight == 1:
            return [position]
        numbers = self.snapshot.flight_numbers
        return self.able[numbers[self.able] == numbers[position]].tolist()

    def _draw_flight(self, scores: list[float], taken: set[int]) -> tuple[int, float]:
        """The place of one of the flights' falling scores, and the chance that it had."""
        policy = self.snapshot.settings.decision_policy
        if policy.name != "greedy":
            return draw(policy, scores, self.generator)
        # A lot has put one of the best equals first already.
        equals = scores.count(scores[0])
        if self.cut and scores[0] == self.cut_score:
            equals += len(self.cut - taken - self.refused.keys())
        return 0, 1.0 / equals

    def _draw_creative(self, position: int) -> tuple[int, float]:
        """One of the ads of a participant's flight, and the chance that it had among them."""
        ads = self.of_flight(position)
        if len(ads) == 1:
            return position, 1.0
        scores, policy = self.worth.scores[ads], self.snapshot.settings.decision_policy
        if policy.name != "greedy":
            place, chance = draw(policy, scores.tolist(), self.generator)
            return ads[place], chance
        best = np.flatnonzero(scores == scores.max())
        return ads[best[0] if len(best) == 1 else self.generator.choice(best)], 1.0 / len(best)

    def refuse_others(self, taken: set[int], reason: str) -> None:
        """None of the participants is shown, those aside that other placements took or a budget refused."""
        for position in self.order:
            if (flight := self.snapshot.flight_number[position]) not in taken:
                self.refused.setdefault(flight, reason)

    def losses(self) -> dict[str, int]:
        """Ads by the reason for which they lost before the ranking, and flights by that for which they were refused."""
        counts = {**self.worth.misfits} | {reason: bits.bit_count() for reason, bits in self.lost.items()}
        for position in self.order if self.refused else ():
            if reason := self.refused.get(self.snapshot.flight_number[position]):
                counts[reason] = counts.get(reason, 0) + 1
        return counts

    def account(self, lead: Lead | None, taken: set[int]) -> str:
        """What the decision keeps of the auction, as members of a JSON object; bounded, whatever the number of ads."""
        told = [
            self.snapshot.describe(position, self.worth, self._why(position, lead, taken))
            for position in self._told(lead)
        ]
        losers = {reason: self._named(bits) for reason, bits in self.lost.items()}
        return (
            f'"participants": [{", ".join(told)}], "ranked": {len(self.order)}, '
            f'"losses": {json.dumps(self.losses())}, "losers": {json.dumps(losers)}'
        )

    def _told(self, lead: Lead | None) -> list[int]:
        """The best participants, and the one that leads among them as the creative that is shown."""
        best = self.order[:MOST_TOLD]
        if lead is None or lead.position in best:
            return best
        others = [each for each in best if self.snapshot.flight_number[each] != lead.flight_number]
        return sorted([*others[: MOST_TOLD - 1], lead.position], key=self.worth.scores.item, reverse=True)

    def _why(self, position: int, lead: Lead | None, taken: set[int]) -> str | None:
        flight = self.snapshot.flight_number[position]
        if lead is not None and flight == lead.flight_number:
            return None
        if flight in self.refused:
            return self.refused[flight]
        if flight in taken or lead is None:
            return "won_elsewhere"
        return "score" if self.worth.scores.item(position) < lead.score else "draw"

    def _named(self, bits: int) -> list[str]:
        named: dict[str, None] = {}
        while bits and len(named) < MOST_NAMED:
            position = (bits & -bits).bit_length() - 1
            named[self.snapshot.flight_names[position]] = None
            bits &= bits - 1
        return list(named)


def open_contest(
    snapshot: Snapshot, placement: Placement, ask: Ask, *, decision_id: UUID, hour_of_week: int, capped: set[UUID]
) -> Contest:
    """Who competes for a placement; `capped` are flights that the subject has seen often or recently enough."""
    worth = snapshot.worth_at(placement)
    contest = Contest(decision_id, placement, snapshot, worth)
    lost = contest.lost
    left = snapshot.of_shape.get((placement.width, placement.height, placement.currency), 0)
    if placement.archived_at:
        left = _drop(left, left, "archived", lost)
    if ask.subject is None:
        left = _drop(left, snapshot.identified, "consent" if not ask.has_consent else "no_subject", lost)
    facts = ask.facts | {"placements": [normal(placement.key)]}
    left = snapshot.index.match(left, facts, hour_of_week, lost)
    if snapshot.splits:
        # Whoever is not known is drawn anew for each decision.
        unit = ask.subject.key if ask.subject else decision_id.bytes
        left = _drop(left, hidden_from(snapshot.splits, unit), "experiment", lost)
    left = _drop(left, _of_flights(snapshot, capped), "cap", lost)
    left = _drop(left, snapshot.unable | snapshot.refused, "budget", lost)
    found = positions(left, len(snapshot.ads))
    if snapshot.paced:
        # One draw for all ads of a flight.
        drawn = contest.generator.random(len(snapshot.of_flight))[snapshot.flight_numbers[found]]
        found = _split(found, drawn < snapshot.pass_rates[found], "pacing", lost)
    found = _split(found, worth.sellable[found], "floor", lost)
    _rank(contest, found)
    return contest


def _rank(contest: Contest, found: NDArray[np.int64]) -> None:
    """Put the best flights in order; flights whose best ads are equal stand in an order of their own each time."""
    snapshot, scores = contest.snapshot, contest.worth.scores
    contest.able = found
    best = found if snapshot.most_ads_of_flight == 1 else _best_of_flights(found, scores, snapshot.flight_numbers)
    order = rank(scores[best], lambda count: contest.generator.random(count), best=MOST_RANKED)
    contest.order = best[order[:MOST_RANKED]].tolist()
    if len(order) > MOST_RANKED:
        # All further ones are equals of the last.
        contest.cut = {snapshot.flight_number[each] for each in best[order[MOST_RANKED:]].tolist()}
        contest.cut_score = float(scores[contest.order[-1]])


def _best_of_flights(
    found: NDArray[np.int64], scores: NDArray[np.float64], flights: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The first of the best ads of each flight."""
    order = found[np.lexsort((-scores[found], flights[found]))]
    return order[np.unique(flights[order], return_index=True)[1]]


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
