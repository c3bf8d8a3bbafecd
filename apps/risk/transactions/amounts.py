"""Amounts of several currencies in the desk's own, so that sums, means, models, rules and costs compare like with like.

This happens once, when a transaction is stored, by the desk's rates of that moment. What is computed from stored
transactions then never depends on when it is computed.
"""

from dataclasses import replace
from typing import Protocol

from apps.risk.assessments.settings import RiskSettings
from apps.risk.transactions.reading import NewTransaction

# An event's amount in the desk's currency, and as it was given where that differs; without a rate it is as it is.
SQL_RATE = "(%(rates)s::jsonb ->> coalesce(currency, %(currency)s))::float8"
SQL_AMOUNT = f"value * coalesce({SQL_RATE}, 1)"
SQL_GIVEN_AMOUNT = f"CASE WHEN {SQL_RATE} IS NOT NULL THEN value END"


class WithAmount(Protocol):
    @property
    def amount(self) -> float: ...
    @property
    def given_amount(self) -> float | None: ...


def in_desk_currency(transaction: NewTransaction, settings: RiskSettings) -> NewTransaction:
    """The transaction with its amount in the desk's currency; as it is where there is no rate, or where it is so
    already."""
    rate = settings.exchange_rates.get(transaction.currency)
    if rate is None or transaction.given_amount is not None:
        return transaction
    return replace(transaction, amount=transaction.amount * rate, given_amount=transaction.amount)


def as_given(transaction: WithAmount) -> float:
    """The amount as the client said it, in the transaction's own currency."""
    return transaction.amount if transaction.given_amount is None else transaction.given_amount
