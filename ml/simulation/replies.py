"""Conversations whose right reply depends on what the customer did before, with known truth.

Customers write the same few words ("where is it?") in different situations, and only their recent events tell these
apart. Older orders that went another way, page views and carts stand between the events that decide.
"""

import numpy as np

from ml.data.reply_pairs import CustomerEvent, ReplyPairs

STARTED = 1_700_000_000.0
DAY = 86_400.0

# By situation: the events that make it, the newest last, and the reply that fits.
SITUATIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "not_shipped": (("order_placed", "payment_received"), "Your order is being packed and leaves us tomorrow."),
    "shipped": (("order_placed", "order_shipped"), "Your parcel is on its way, here is the tracking link."),
    "shipped_late": (
        ("order_placed", "order_delayed", "order_shipped"),
        "We are sorry that your parcel left late; the shipping fee goes back to you.",
    ),
    "delivered": (
        ("order_shipped", "order_delivered"),
        "The carrier says that it was delivered; please look with your neighbours.",
    ),
    "returned": (("order_delivered", "return_sent"), "We wait for your return; the money follows once it is here."),
    "refunded": (
        ("return_sent", "return_received", "refund_issued"),
        "Your refund was issued and reaches your account within five days.",
    ),
    "payment_failed": (("cart_add", "payment_failed"), "Your bank refused the payment; please try another card."),
    "cancelled": (("order_placed", "order_cancelled"), "Your order was cancelled and nothing was charged."),
    "browsing": (("page_view", "cart_add"), "The article in your cart is in stock and can ship today."),
    "stock": (("page_view", "stock_alert_set"), "We will write to you as soon as it is back in stock."),
}
DECIDING = sorted({kind for events, _ in SITUATIONS.values() for kind in events} - {"page_view", "cart_add"})

# What customers write, and the situations in which they do.
AMBIGUOUS: dict[str, tuple[str, ...]] = {
    "where is it?": ("not_shipped", "shipped", "shipped_late", "delivered"),
    "any news for me?": tuple(SITUATIONS),
    "when do i get it?": ("not_shipped", "shipped", "shipped_late", "browsing", "stock"),
    "what about my money?": ("returned", "refunded", "payment_failed", "cancelled"),
    "it did not work": ("payment_failed", "cancelled", "browsing"),
    "how long does that take?": ("returned", "refunded", "shipped", "stock"),
    "hello, please check my order": ("not_shipped", "shipped_late", "delivered", "cancelled", "payment_failed"),
}
CLEAR: dict[str, str] = {
    "my parcel says delivered but i have nothing": "delivered",
    "why was my card declined?": "payment_failed",
    "i sent it back, when do you pay?": "returned",
    "tell me when it is available again": "stock",
}
GREETINGS = ("hi", "hello there", "good morning", "")
CLEAR_SHARE = 0.15


def simulate_replies(count: int, *, generator: np.random.Generator) -> ReplyPairs:
    """`count` pairs in the order of their time, each of a customer of its own."""
    conversations, replies, histories = [], [], []
    for number in range(count):
        if generator.random() < CLEAR_SHARE:
            words = str(generator.choice(list(CLEAR)))
            situation = CLEAR[words]
        else:
            words = str(generator.choice(list(AMBIGUOUS)))
            situation = str(generator.choice(AMBIGUOUS[words]))
        greeting = str(generator.choice(GREETINGS))
        conversations.append([message for message in (greeting, words) if message])
        replies.append(SITUATIONS[situation][1])
        histories.append(_history(SITUATIONS[situation][0], STARTED + number * 60.0, generator))
    return ReplyPairs(conversations, replies, histories)


def best_accuracy_of_words() -> float:
    """The share of right first choices of whoever knows the words and the rates above, but no events."""
    found = CLEAR_SHARE + (1.0 - CLEAR_SHARE) * np.mean([1.0 / len(situations) for situations in AMBIGUOUS.values()])
    return float(found)


def _history(deciding: tuple[str, ...], asked_at: float, generator: np.random.Generator) -> list[CustomerEvent]:
    """An older order that went some other way, then what decides with idle events in between."""
    kinds = [str(kind) for kind in generator.choice(DECIDING, size=generator.integers(0, 4))]
    for kind in deciding:
        kinds += ["page_view"] * int(generator.integers(0, 3))
        kinds.append(kind)
    # What customers look at before they write says nothing.
    kinds += ["page_view", "help_view"][: int(generator.integers(0, 3))]
    gaps = generator.exponential(DAY / 2.0, size=len(kinds))
    times = asked_at - np.cumsum(gaps[::-1])[::-1]
    item = f"article-{generator.integers(50)}"
    return [
        CustomerEvent(
            type=kind,
            item=None if kind == "help_view" else item,
            time=float(time),
            value=float(generator.integers(10, 200)) if kind == "order_placed" else None,
        )
        for kind, time in zip(kinds, times, strict=True)
    ]
