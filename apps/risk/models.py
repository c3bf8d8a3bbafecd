"""All tables of the application; each topic keeps its own."""

from apps.risk.transactions.models import Label, Transaction

__all__ = ["Label", "Transaction"]
