"""The shape of what a world tells its clients, and that a seed decides all of it."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from ml.simulation import World, WorldConfig

END = datetime(2026, 3, 1, tzinfo=UTC)
TYPES = {"view", "click", "add_to_cart", "purchase", "search", "review", "ask", "pay"}
EVENT_KEYS = {
    "message_id",
    "type",
    "subject",
    "item_id",
    "value",
    "quantity",
    "currency",
    "created_at",
    "consent",
    "properties",
}


def clean_world(theme: str = "outdoor", **changes: object) -> World:
    config = getattr(WorldConfig, theme)()
    return World(replace(config, **{"subjects": 300, "bots": 0, "bad_row_rate": 0.0, **changes}), seed=11)


@pytest.mark.parametrize("config", [WorldConfig.outdoor(), WorldConfig.grocery()], ids=lambda config: config.theme)
def test_the_two_shops_have_about_fifty_thousand_events_of_two_thousand_subjects(config):
    world = World(config, seed=7)
    events = list(world.events(end=END))

    assert len(world.catalogue()) == 800
    assert len(world.subject_ids) == 2_000
    assert 45_000 < len(events) < 65_000
    assert {event["type"] for event in events} == TYPES
    json.dumps(events, allow_nan=False)


def test_a_seed_decides_everything():
    def first_events(seed: int) -> list[dict]:
        return list(islice(World(WorldConfig(subjects=100), seed).events(end=END), 200))

    assert first_events(1) == first_events(1)
    assert first_events(1) != first_events(2)
    assert World(WorldConfig(), 1).catalogue() == World(WorldConfig(), 1).catalogue()


def test_asking_for_events_changes_nothing_that_is_asked_later():
    asked, fresh = clean_world(), clean_world()
    list(asked.events(days=3, end=END))

    assert list(asked.events(days=5, end=END)) == list(fresh.events(days=5, end=END))


def test_items_have_unique_ids_readable_titles_and_a_category_path():
    items = clean_world().catalogue()

    assert len({item["id"] for item in items}) == len(items)
    assert items[0].keys() == {
        "id",
        "title",
        "description",
        "categories",
        "brand",
        "price",
        "currency",
        "available",
        "hidden",
        "attributes",
    }
    assert items[0]["categories"] == ["Footwear", "Trail running shoes"]
    assert "trail running shoe, " in items[0]["title"]
    assert len({item["title"] for item in items}) == len(items)
    assert all(item["price"] > 0 and item["attributes"]["quality"] for item in items)
    assert 0 < sum(item["hidden"] for item in items) < 40
    assert 0 < sum(not item["available"] for item in items) < 80


@pytest.mark.parametrize("theme", ["outdoor", "grocery"])
def test_every_event_of_a_clean_world_is_valid(theme):
    world = clean_world(theme)
    items = {item["id"]: item for item in world.catalogue()}
    events = list(world.events(days=30, end=END))

    assert len({event["message_id"] for event in events}) == len(events)
    times = [datetime.fromisoformat(event["created_at"]) for event in events]
    assert times == sorted(times)
    assert END - timedelta(days=30) <= times[0]
    assert times[-1] <= END
    for event in events:
        assert event.keys() == EVENT_KEYS
        assert event["type"] in TYPES
        assert event["consent"].keys() == {"personalisation", "training"}
        assert event["subject"].keys() in ({"user_id", "session_id"}, {"anonymous_id", "session_id"})
        assert (event["item_id"] is None) == (event["type"] in {"search", "pay"})
        if event["item_id"]:
            assert not items[event["item_id"]]["hidden"]
        if event["type"] == "purchase":
            item = items[event["item_id"]]
            assert item["available"]
            assert event["value"] == pytest.approx(item["price"] * event["quantity"], abs=0.01)
            assert event["currency"] == item["currency"]
        if event["type"] == "review":
            assert event["value"] in {1, 2, 3, 4, 5}
            assert event["properties"]["text"]
        if event["type"] == "search":
            assert event["properties"]["query"]


def test_a_payment_is_the_sum_of_the_purchases_of_its_session():
    spent: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    # Visits that straddle the first moment of the window lose their purchases or their payment.
    events = list(clean_world("grocery").events(end=END))
    begun = {event["subject"]["session_id"] for event in events if event["type"] == "view"}
    for event in events:
        session = event["subject"]["session_id"]
        if event["type"] == "purchase" and session in begun:
            spent[session] += event["value"]
        if event["type"] == "pay" and session in begun:
            paid[session] += event["value"]

    assert len(paid) > 50
    for session, total in paid.items():
        assert total == pytest.approx(spent[session], abs=0.01)


def test_the_shop_sleeps_at_night_and_is_busy_in_the_evening():
    hours = Counter(datetime.fromisoformat(event["created_at"]).hour for event in clean_world().events(end=END))

    assert hours[20] > 5 * hours[3]


def test_grocery_shoppers_buy_the_usual_items_again():
    bought = Counter(
        (event["subject"].get("user_id"), event["item_id"])
        for event in clean_world("grocery", days=90).events(end=END)
        if event["type"] == "purchase"
    )
    again = sum(count - 1 for count in bought.values()) / bought.total()

    assert again > 0.2


def test_complements_are_bought_together_more_often_than_chance():
    world = clean_world("grocery", subjects=1_000)
    category = {item["id"]: item["categories"][-1] for item in world.catalogue()}
    baskets: dict[str, set[str]] = {}
    for event in world.events(end=END):
        if event["type"] == "purchase":
            baskets.setdefault(event["subject"]["session_id"], set()).add(category[event["item_id"]])
    # No routine holds both coffee and milk.
    with_coffee = [basket for basket in baskets.values() if "Coffee" in basket]
    milk = sum("Milk" in basket for basket in baskets.values()) / len(baskets)

    assert sum("Milk" in basket for basket in with_coffee) / len(with_coffee) > 1.3 * milk


def test_bad_rows_and_bots_are_there_to_be_found():
    world = World(WorldConfig(subjects=500, bots=2, bad_row_rate=0.05), seed=11)
    events = list(world.events(end=END))
    seen = Counter(event["message_id"] for event in events)
    prices = {item["id"]: item["price"] for item in world.catalogue()}
    years = Counter(event["created_at"][:4] for event in events)

    assert max(seen.values()) == 2
    assert any(event["type"] == "view" and event["item_id"] is None for event in events)
    assert any(event["type"] == "purchase" and event["value"] > 500 * prices[event["item_id"]] for event in events)
    assert years["2054"]
    assert years["1970"]
    assert sum("bot" in event["subject"].get("anonymous_id", "") for event in events) >= 400


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"theme": "moon"}, "theme 'moon'"),
        ({"cart_rate": 1.5}, "cart_rate is 1.5"),
        ({"items_per_category": 99}, "items_per_category"),
        ({"subjects": 0}, "subjects"),
        ({"intents": 0}, "intents"),
    ],
)
def test_an_impossible_configuration_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        WorldConfig(**changes)


def test_impossible_questions_are_refused():
    world = clean_world()
    with pytest.raises(ValueError, match="1 to 300"):
        world.events(subjects=301)
    with pytest.raises(ValueError, match="days"):
        world.events(days=0)
    with pytest.raises(ValueError, match="time zone"):
        world.events(end=datetime(2026, 3, 1))  # noqa: DTZ001 - the naive time is the point
    with pytest.raises(ValueError, match="no subject 'u-x'"):
        world.respond("u-x", ["o0001"], END)
    with pytest.raises(ValueError, match="no items \\['x'\\]"):
        world.expected_reward(world.subject_ids[0], ["x"], END)
