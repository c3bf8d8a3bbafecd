"""What the world says about its own probabilities is what it does."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ml.simulation import World, WorldConfig

AT = datetime(2026, 3, 1, 18, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return World(WorldConfig(subjects=200), seed=5)


def liked_items(world: World, subject_id: str, count: int) -> list[str]:
    everything = world.expected_reward(subject_id, world.item_ids, AT)
    # Undo the position bias of the long list, to rank the items by themselves.
    alone = everything * np.sqrt(np.arange(1, len(everything) + 1))
    return [world.item_ids[index] for index in np.argsort(-alone)[:count]]


@pytest.mark.parametrize("outcome", ["click", "purchase"])
def test_responses_happen_as_often_as_expected(world, outcome):
    subject_id, repetitions = world.subject_ids[3], 4_000
    shown = liked_items(world, subject_id, 6)
    expected = world.expected_reward(subject_id, shown, AT, outcome=outcome)

    happened: Counter[str] = Counter()
    for number in range(repetitions):
        events = world.respond(subject_id, shown, AT, decision_id=f"d{number}")
        happened.update(event["item_id"] for event in events if event["type"] == outcome)

    frequency = np.array([happened[item_id] / repetitions for item_id in shown])
    four_sigma = 4 * np.sqrt(expected * (1 - expected) / repetitions)
    assert (np.abs(frequency - expected) <= four_sigma).all()
    assert expected.max() > 0.05


def test_a_response_carries_the_decision_and_follows_the_funnel(world):
    subject_id = world.subject_ids[0]
    shown = liked_items(world, subject_id, 10)
    responses = [world.respond(subject_id, shown, AT, decision_id=f"d{number}") for number in range(200)]

    for number, events in enumerate(responses):
        assert {event["decision_id"] for event in events} == {f"d{number}"}
        assert [event["item_id"] for event in events if event["type"] == "impression"] == shown
        assert [event["created_at"] for event in events] == sorted(event["created_at"] for event in events)
        items_of = {
            name: {event["item_id"] for event in events if event["type"] == name}
            for name in ("impression", "click", "add_to_cart", "purchase")
        }
        assert items_of["purchase"] <= items_of["add_to_cart"] <= items_of["click"] <= items_of["impression"]
    assert any(event["type"] == "purchase" for events in responses for event in events)


def test_the_same_call_gives_the_same_response(world):
    shown = world.item_ids[:5]
    first = world.respond(world.subject_ids[1], shown, AT, decision_id="d1")

    assert World(world.config, world.seed).respond(world.subject_ids[1], shown, AT, decision_id="d1") == first
    assert world.respond(world.subject_ids[1], shown, AT, decision_id="d2") != first


def test_without_a_decision_there_is_no_decision_id_and_the_session_is_kept(world):
    events = world.respond(world.subject_ids[1], world.item_ids[:2], AT, session_id="s-1")

    assert all("decision_id" not in event and event["subject"]["session_id"] == "s-1" for event in events)


def test_the_same_item_is_clicked_less_further_down(world):
    rewards = world.expected_reward(world.subject_ids[1], [world.item_ids[0]] * 5, AT)

    assert (np.diff(rewards) < 0).all()
    np.testing.assert_allclose(rewards[3], rewards[0] / 2)


def test_intent_changes_with_time_and_moves_the_reward(world):
    subject_id = world.subject_ids[1]
    on_each_day = [world.expected_reward(subject_id, world.item_ids, AT + timedelta(days=day)) for day in range(60)]

    assert len({rewards.tobytes() for rewards in on_each_day}) == world.config.intents


def test_hidden_items_are_never_clicked_and_unavailable_ones_never_bought(world):
    items = world.catalogue()
    hidden = [item["id"] for item in items if item["hidden"]]
    unavailable = [item["id"] for item in items if not item["available"] and not item["hidden"]]
    subject_id = world.subject_ids[1]

    assert (world.expected_reward(subject_id, hidden, AT) == 0).all()
    assert (world.expected_reward(subject_id, unavailable, AT, outcome="purchase") == 0).all()
    assert (world.expected_reward(subject_id, unavailable, AT) > 0).all()


def test_an_unknown_outcome_is_refused(world):
    with pytest.raises(ValueError, match="outcome 'love'"):
        world.expected_reward(world.subject_ids[1], world.item_ids[:1], AT, outcome="love")


def test_nothing_shown_is_nothing_answered(world):
    assert world.respond(world.subject_ids[0], [], AT) == []
