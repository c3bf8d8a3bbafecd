"""A tenant with intents of a bank, and what its customers write."""

from itertools import product

import pytest

from apps.service.understanding import selectors

WANTS = {
    "card_lost": ["i lost my {}", "my {} was stolen", "someone took my {}", "i can not find my {} anywhere"],
    "card_late": ["where is my new {}", "my {} has not arrived", "when will my {} come", "the {} is still on its way"],
    "rates": ["what rate do you use for my {}", "how is the exchange rate of my {} made", "exchange {} to euros"],
}
THINGS = ["card", "bank card", "debit card", "credit card", "visa card", "gold card", "travel card", "plastic"]


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    """Each test sees its own rows at once."""
    selectors._intent_names.clear()
    selectors._examples.clear()


@pytest.fixture
def bank_examples() -> list[dict[str, str]]:
    return [
        {"text": phrase.format(thing), "intent": name}
        for name, phrases in WANTS.items()
        for phrase, thing in product(phrases, THINGS)
    ]
