"""Bidding for iPinYou's campaign 2997 under budgets, beside truthful, dual and PID bids.

Protocol of H. Cai et al. (2017): rounds of 1,000 auctions at the second price, each with the same budget, a share of
what the training log's auctions cost; a round is over when its money is gone. Prices, the mean pCTR and what a click
costs are those of the training log; nothing is tuned on the test log.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.policy.bidding import (
    Bidder,
    DualBidder,
    DynamicBidder,
    PidBidder,
    TruthfulBidder,
    price_chances,
    price_of_value_within,
)
from ml.simulation.second_price import Round, replay
from tests.benchmarks.records import Record

AUCTIONS = 1_000
# The published clicks of RLB by the budget's share of the historical cost, 1 / key.
PUBLISHED = {32: 78, 16: 119, 8: 176, 4: 260, 2: 389}


@dataclass(frozen=True)
class Campaign:
    """The test log, columns (auctions,), and what is known of the training log."""

    clicks: NDArray[np.int64]
    prices: NDArray[np.int64]
    click_chances: NDArray[np.float64]
    training: dict[str, Any]

    def bidders(self, budget: int) -> dict[str, Bidder]:
        about, target = self.training, budget / AUCTIONS
        chances = price_chances(about["price_counter_train"])
        mean_value = about["clk_train"] / about["imp_train"]
        click_cost = about["cost_train"] / about["clk_train"]
        step = AUCTIONS**-0.5
        return {
            # The exact grid, as published: a coarser one gains or loses a click by chance.
            "dynamic": DynamicBidder(chances, mean_value, AUCTIONS, budget, steps=budget),
            "learning": DynamicBidder(chances, mean_value, AUCTIONS, budget, learns=True),
            "truthful": TruthfulBidder(click_cost),
            "dual": DualBidder(price_of_value_within(chances, mean_value, target), target, step),
            "pid": PidBidder(click_cost, target),
        }


def measure(*, data: Path | None, full: bool) -> Iterator[Record]:
    """Raises SystemExit where the data are missing."""
    campaign = read_campaign(data)
    cost = campaign.training["cost_train"] / campaign.training["imp_train"]
    budgets = {}
    for share in PUBLISHED:
        budget = int(cost * AUCTIONS / share)
        played = {
            name: list(
                replay(
                    bidder,
                    prices=campaign.prices,
                    values=campaign.click_chances,
                    outcomes=campaign.clicks.astype(np.float64),
                    auctions=AUCTIONS,
                    budget=budget,
                )
            )
            for name, bidder in campaign.bidders(budget).items()
        }
        budgets[f"1/{share}"] = judged(budget, played)
    yield record(budgets)


def record(budgets: dict[str, dict[str, Any]]) -> Record:
    """Clicks at each budget, in the order of PUBLISHED."""

    def of_each(name: str) -> list[Any]:
        return [each[name] for each in budgets.values()]

    published = list(PUBLISHED.values())
    told = [name for name in next(iter(budgets.values())) if name not in ("dynamic", "truthful")]
    return {
        "id": "ads.ipinyou.clicks",
        "value": of_each("dynamic"),
        "floor": of_each("truthful"),
        "parity": published,
        "aim": f">= {', '.join(map(str, published))}",
        "detail": {"budgets": list(budgets)} | {name: of_each(name) for name in told},
    }


def judged(budget: int, played: dict[str, list[Round]]) -> dict[str, Any]:
    own = played["dynamic"]
    return {
        **{name: int(sum(one.gained for one in rounds)) for name, rounds in played.items()},
        "wins": sum(one.wins for one in own),
        "spent_of_all_budgets": sum(one.spent for one in own) / (budget * len(own)),
        "most_spent_of_a_budget": max(one.spent for rounds in played.values() for one in rounds) / budget,
        "rounds": len(own),
    }


def read_campaign(data: Path | None) -> Campaign:
    folder = Path(data) / "ads" / "ipinyou_2997" if data else None
    if folder is None or not folder.exists():
        raise SystemExit(
            "bidding needs --data or SEQUITUR_DATA, a folder with ads/ipinyou_2997: 2997.test.theta.txt.gz (click, "
            "price, pCTR) and 2997.info.json, as the repository han-cai/rlb-dp publishes iPinYou's campaign"
        )
    log = np.loadtxt(folder / "2997.test.theta.txt.gz")
    return Campaign(
        clicks=log[:, 0].astype(np.int64),
        prices=log[:, 1].astype(np.int64),
        click_chances=log[:, 2],
        training=json.loads((folder / "2997.info.json").read_text(encoding="utf-8")),
    )
