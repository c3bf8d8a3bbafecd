"""Whether a flight could still pay for what it bids: asked of many flights at once, before any of them is reserved."""

from apps.ads.budgets.services import reservation_of

# In micro-units, of a row `budget` of `ads_flightbudget`. Its parameter `day` is today in the tenant's time zone.
LEFT = """
    least(
        budget.budget_micros - budget.spent_micros - budget.reserved_micros,
        budget.daily_budget_micros - CASE WHEN budget.day >= %(day)s
            THEN budget.day_spent_micros + budget.day_reserved_micros ELSE 0 END
    )"""


def has_room(left_micros: int, *, bid_kind: str, bid_micros: int) -> bool:
    """Whether what is left (see LEFT) pays one event at this bid."""
    return reservation_of(bid_kind, bid_micros) <= left_micros
