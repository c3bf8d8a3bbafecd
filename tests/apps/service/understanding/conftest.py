"""A tenant with intents of a bank, and what its customers write."""

from itertools import product

import pytest

from apps.service.understanding import selectors

WANTS = {
    "card_lost": ["i lost my {}", "my {} was stolen", "someone took my {}", "i can not find my {} anywhere"],
    "card_late": ["where is my new {}", "my {} has not arrived", "when will my {} come", "the {} is still on its way"],
    "rates": [
        "what rate do you use for my {}",
        "how is the exchange rate of my {} made",
        "exchange {} to euros",
        "{} rates",
    ],
}
THINGS = ["card", "bank card", "debit card", "credit card", "visa card", "gold card", "travel card", "plastic"]
THINGS += ["master card", "black card", "joint card", "spare card", "virtual card", "student card"]


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    """Each test sees its own rows at once."""
    selectors._intents.clear()
    selectors._examples.clear()


@pytest.fixture
def bank_examples() -> list[dict[str, str]]:
    return [
        {"text": phrase.format(thing), "intent": name}
        for name, phrases in WANTS.items()
        for phrase, thing in product(phrases, THINGS)
    ]


@pytest.fixture
def hard_examples() -> list[dict[str, str]]:
    """One word decides, all others are those of a text of the other intent: the nearest example is the wrong one."""
    colours = ["crimson", "turquoise", "marigold", "lavender", "chestnut", "emerald", "magenta", "ivory", "copper"]
    numbers = ["three hundred", "seven thousand", "eleven", "fifty nine"]
    return [
        {"text": f"{colour} plastic ending in {number} of my {colour} account is {word}", "intent": name}
        for colour, number in product(colours, numbers)
        for name, word in (("card_lost", "lost"), ("card_late", "late"))
    ]
