"""Whether a flight could still pay for what it bids: asked of many flights at once, before any of them is reserved."""

from apps.ads.budgets.services import promise_of

# In micro-units, of a row `budget` of `ads_flightbudget` and its row `flight`: what one event may cost. Its parameter
# `day` is today in the tenant's time zone. Nothing is left where all is spent or promised; what a click or a conversion
# is expected to cost does not lessen what the next may cost in full.
LEFT = """
    CASE WHEN budget.spent_micros + budget.reserved_micros >= budget.budget_micros
        OR budget.day >= %(day)s
            AND budget.day_spent_micros + budget.day_reserved_micros >= budget.daily_budget_micros
    THEN 0 ELSE least(
        budget.budget_micros - budget.spent_micros
            - CASE flight.bid_kind WHEN 'cpm' THEN budget.reserved_micros ELSE 0 END,
        budget.daily_budget_micros - CASE WHEN budget.day >= %(day)s THEN budget.day_spent_micros
            + CASE flight.bid_kind WHEN 'cpm' THEN budget.day_reserved_micros ELSE 0 END ELSE 0 END
    ) END"""


def has_room(left_micros: int, *, bid_kind: str, bid_micros: int) -> bool:
    """Whether what is left (see LEFT) pays one event at this bid."""
    return promise_of(bid_kind, bid_micros, 1.0).cost_micros <= left_micros
