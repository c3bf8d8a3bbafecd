"""A simulated day of ad placement: requests of many kinds, flights with targeting, bids and budgets, and what they get.

Auctions and controllers are those that serve (`ml.policy.auction`, `ml.policy.pacing`). Beside what happened stands the
most that a planner who knows all requests ahead could have reached, a linear programme with fractions allowed. It is
that of A. Mehta et al., "AdWords and generalized online matching", J. ACM 54 (2007), section 2; money is counted at the
day's own prices, or, as there, at what a place is worth to who gets it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, vstack

from ml.policy.auction import clearing_price, rank
from ml.policy.pacing import PidState, adaptive_step, bid_factor, pid_step, step_size

HOURS = 24
# Controllers step every half minute, as in production.
STEPS = 2 * 60 * HOURS
COUNTRIES, CATEGORIES = 20, 20
PEAK = 16  # the hour with the most requests; the fewest come twelve hours from it
MICROS = 1_000_000

Doubles = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class AdWorld:
    """Kinds of requests are pairs of country and category.

    `values` (kinds, flights) are micro-units that an impression is worth to a flight, 0 where its targeting keeps it
    out; `budgets` (flights,) are micro-units for the day; `kinds` and `steps` (requests,) say of each request its kind
    and in which step it comes, rising.
    """

    values: Doubles
    budgets: Whole
    kinds: Whole
    steps: Whole

    @cached_property
    def eligible(self) -> list[Whole]:
        """Flights by kind of request."""
        return [np.flatnonzero(row) for row in self.values]


def make_world(*, requests: int, flights: int, seed: int) -> AdWorld:
    """More requests come by day than by night. Budgets together are about two thirds of what truthful bidding without
    budgets would spend; they differ widely, so that some flights have more money than places to spend it on."""
    rng = np.random.default_rng(seed)
    shares = rng.lognormal(0, 0.8, COUNTRIES * CATEGORIES)
    kinds = rng.choice(len(shares), requests, p=shares / shares.sum())
    daily = 1 + 0.5 * np.cos(2 * np.pi * (np.arange(STEPS) / STEPS - PEAK / HOURS))
    steps = np.sort(rng.choice(STEPS, requests, p=daily / daily.sum()))
    country, category = np.divmod(np.arange(len(shares)), CATEGORIES)
    abroad = rng.random((COUNTRIES, flights)) < 0.5
    themes = rng.random((CATEGORIES, flights)) < 0.6
    click_rates = 0.005 * rng.lognormal(0, 0.4, flights) * rng.lognormal(0, 0.4, (len(shares), flights))
    bids = 0.4 * MICROS * rng.lognormal(0, 0.3, flights)
    values = np.where(abroad[country] & themes[category], bids * click_rates, 0.0)
    best_two = np.sort(values, axis=1)[:, -2]
    spendable = best_two[kinds].sum()
    weights = rng.lognormal(0, 0.5, flights)
    budgets = (2 / 3 * spendable * weights / weights.sum()).astype(np.int64)
    return AdWorld(values, budgets, kinds, steps)


@dataclass(frozen=True)
class AdDay:
    """What came of a day. `spend` (hours, flights) is in micro-units, and so is `possible`: what a flight could have
    spent in each hour with its full bid against the others as they bid. `value` (flights,) is what it got, `prices`
    (kinds,) what an impression of a kind did cost in the mean."""

    spend: Whole
    possible: Doubles
    value: Doubles
    budgets: Whole
    prices: Doubles

    @property
    def liquid_welfare(self) -> float:
        """Each flight counts with what it got, at most with its budget."""
        return float(np.minimum(self.value, self.budgets).sum())

    @property
    def able(self) -> NDArray[np.bool_]:
        """(flights,): those for which the plan, a twenty-fourth of the budget in each hour, was always to be had."""
        return np.asarray((self.possible >= 1.05 * self.budgets / HOURS).all(axis=0))

    @property
    def budget_errors(self) -> Doubles:
        """Share of its budget that each able flight left."""
        return (1 - self.spend.sum(axis=0) / self.budgets)[self.able]

    @property
    def hourly_errors(self) -> Doubles:
        """(hours, able flights): how far what was spent was from the plan, as a share of it."""
        return np.abs(HOURS * self.spend / self.budgets - 1)[:, self.able]


def play(world: AdWorld, pacing: str, *, seed: int) -> AdDay:
    """Every request is a second-price auction; who has spent its budget stays out.

    `pacing` is `adaptive`, `pid`, or `asap` for none.
    """
    rng = np.random.default_rng(seed)
    flights = len(world.budgets)
    spent = np.zeros(flights, dtype=np.int64)
    value = np.zeros(flights)
    hourly = np.zeros((HOURS, flights), dtype=np.int64)
    possible = np.zeros((HOURS, flights))
    factors, shares = np.ones(flights), np.ones(flights)
    costs, wins = np.zeros(len(world.values)), np.zeros(len(world.values))
    duals, memories, before = np.zeros(flights), [PidState()] * flights, spent.copy()
    starts = np.searchsorted(world.steps, np.arange(STEPS + 1))
    for number in range(STEPS):
        hour = number * HOURS // STEPS
        for request in range(starts[number], starts[number + 1]):
            kind = world.kinds[request]
            able = world.eligible[kind]
            truth = world.values[kind, able]
            bids = truth * factors[able]
            takes_part = (spent[able] + bids <= world.budgets[able]) & (rng.random(len(able)) < shares[able])
            scores = np.where(takes_part, bids, 0.0)
            order = rank(scores, rng.random)
            first, second = (scores[order[place]] if place < len(order) else 0.0 for place in (0, 1))
            others = np.full(len(able), first)
            if first > 0:
                others[order[0]] = second
                price = int(clearing_price(first, 1.0, second, 0.0, "second_price"))
                winner = able[order[0]]
                spent[winner] += price
                costs[kind] += price
                wins[kind] += 1
                hourly[hour, winner] += price
                value[winner] += truth[order[0]]
            possible[hour, able] += np.where(truth > others, others, 0.0)
        for flight in range(flights) if pacing != "asap" else ():
            target = max((world.budgets[flight] - before[flight]) / (STEPS - number), 1.0)
            cost = float(spent[flight] - before[flight])
            if pacing == "adaptive":
                duals[flight] = adaptive_step(duals[flight], target=target, spent=cost, step=step_size(number))
                factors[flight] = bid_factor(duals[flight])
            else:
                memories[flight], shares[flight] = pid_step(memories[flight], target=target, spent=cost)
        before = spent.copy()
    return AdDay(hourly, possible, value, world.budgets, costs / np.maximum(wins, 1))


def greatest_welfare(world: AdWorld, prices: Doubles | None = None) -> float:
    """What fractions of each kind's requests can be worth to the flights that get them, if none pays more than its
    budget.

    prices: (kinds,) of an impression; without them each costs what it is worth, and the optimum is the largest liquid
    welfare. Raises RuntimeError where the solver gives up.
    """
    kind, flight = np.nonzero(world.values)
    worth = world.values[kind, flight]
    counts = np.bincount(world.kinds, minlength=len(world.values))
    pairs = np.arange(len(kind))
    supply = coo_array((np.ones(len(kind)), (kind, pairs)), shape=(len(counts), len(kind)))
    money = coo_array(
        (worth if prices is None else prices[kind], (flight, pairs)), shape=(len(world.budgets), len(kind))
    )
    limits = np.concatenate([counts, world.budgets.astype(np.float64)])
    solved = linprog(-worth, A_ub=vstack([supply, money]).tocsr(), b_ub=limits, method="highs")
    if not solved.success:
        raise RuntimeError(f"the linear programme was not solved: {solved.message}")
    return float(-solved.fun)
