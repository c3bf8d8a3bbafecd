"""Bids and prices, to and from the unit in which auctions compare: micro-units for a thousand impressions."""

from apps.ads.campaigns.models import BidKind


def value_of(bid_kind: str, bid_micros: int, rate: float) -> float:
    """Of a thousand impressions, of which each brings what is paid for with probability `rate`. A CPM bid is a value
    already, exact to the micro-unit."""
    return float(bid_micros) if bid_kind == BidKind.CPM else bid_micros * rate * 1000


def price_of_event(bid_kind: str, bid_micros: int, *, price: float, value: float, rate: float, floor: float) -> int:
    """A price of a thousand impressions in the unit of the bid: rounded down, but never to less than the floor."""
    if bid_kind == BidKind.CPM:
        return int(price)
    micros = int(bid_micros * (price / value))
    return micros + (micros * rate * 1000 < floor)
