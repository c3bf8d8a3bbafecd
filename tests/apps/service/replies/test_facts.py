"""Which of the customer's orders a message is about."""

import pytest

from apps.service.replies.facts import Facts, Order, choose_order
from apps.service.understanding.entities.orders import find_orders


def chosen(text: str, *orders: str, patterns: tuple[str, ...] = ()) -> tuple[str | None, str]:
    """(id of the order, how it was found) where the customer has these orders."""
    facts = Facts(
        [Order(each, {"id": each, "tracking_number": f"TR-{number}567"}) for number, each in enumerate(orders)]
    )
    found = choose_order(facts, [text], lambda text: [each.text for each in find_orders(text, patterns)])
    return (found.order.order_id if found.order else None), found.how


@pytest.mark.parametrize(
    "text",
    [
        "Where is order 1029?",
        "where is my order #1029",
        "订单1029在哪里？",
        "Where is １０２９?",
        "1029, please",
    ],
)
def test_an_order_is_named_by_its_whole_id(text: str) -> None:
    assert chosen(text, "20001", "1029") == ("1029", "named")


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        ("A-1030 came, where is A-1029?", ("A-1030", "A-1029")),
        ("A-1030 came, where is A-2222?", ("A-1030", "A-1029")),
        ("订单20001收到了，订单1029呢？", ("20001", "1029")),
    ],
)
def test_of_several_orders_that_are_named_none_is_certain(text: str, orders: tuple[str, ...]) -> None:
    assert chosen(text, *orders) == (orders[0], "several")


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("I bought 3 shirts", "newest"),
        ("Do you have 3?", "newest"),
        ("I sent an order 3 days ago", "newest"),
        ("I bought 7 shirts, where is order 3?", "named"),
        ("Where is #3?", "named"),
        ("订单号3在哪里？", "named"),
    ],
)
def test_a_small_number_is_an_orders_where_it_is_called_so(text: str, how: str) -> None:
    assert chosen(text, "7", "3") == ({"newest": "7", "named": "3"}[how], how)


def test_the_same_order_named_twice_is_one() -> None:
    assert chosen("Where is #1029? My order 1029 is late, parcel TR-0567.", "#1029", "20001") == ("#1029", "named")
    assert chosen("Where is SO-A-1029?", "SO-A-1029", "20001") == ("SO-A-1029", "named")


@pytest.mark.parametrize("text", ["Where is order 10299?", "Where is order 91029?", "Where is B-1029?", "#10299?"])
def test_an_id_that_only_holds_that_of_the_customers_order_is_another_order(text: str) -> None:
    assert chosen(text, "1029") == (None, "unknown")


def test_an_order_that_is_not_the_customers_is_unknown_however_short_its_number() -> None:
    assert chosen("where is order 10299?", "20001") == (None, "unknown")
    assert chosen("Where is SO/77?", "20001", patterns=("SO/{digits:2}",)) == (None, "unknown")
    assert chosen("where is order 10299?") == (None, "none")


@pytest.mark.parametrize(
    "text",
    ["Where is my parcel?", "I ordered 30 days ago", "The order 2026-11-05 is late", "Where is TR-0567?"],
)
def test_a_message_that_names_no_other_order_is_about_the_only_one(text: str) -> None:
    assert chosen(text, "A-30") == ("A-30", "only")
    assert chosen(text, "30") == ("30", "only")
