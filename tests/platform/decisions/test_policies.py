"""Policies: which candidates are shown, and with what propensity."""

from collections import Counter
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from uuid_utils.compat import uuid7

from decisions.policies import Policy, choose, draw, generator_of

SCORES = [0.2, 0.5, 0.3]


def test_greedy_takes_the_best_with_certainty_and_the_first_of_equals() -> None:
    greedy = Policy.from_settings({})
    assert draw(greedy, SCORES, generator_of(uuid7())) == (1, 1.0)
    assert draw(greedy, [0.4, 0.4], generator_of(uuid7())) == (0, 1.0)


def test_a_whole_order_can_be_chosen_at_once() -> None:
    assert choose(Policy.from_settings({}), scores=SCORES, count=2, decision_id=uuid7()).positions == [1, 2]
    softmax = Policy.from_settings({"policy": "softmax", "temperature": 1})
    choices = [choose(softmax, scores=SCORES, count=2, decision_id=UUID(int=number)) for number in range(200)]
    # The second rank's propensity is given the first: 0.3 / (1 - 0.5) after position 1, then 2.
    after = next(choice for choice in choices if choice.positions == [1, 2])
    assert after.propensities == pytest.approx([0.5, 0.6])


def test_a_draw_can_be_repeated_from_the_decisions_id() -> None:
    softmax = Policy.from_settings({"policy": "softmax", "temperature": 1})
    decision_id = UUID("01900000-0000-7000-8000-000000000001")
    assert draw(softmax, SCORES, generator_of(decision_id)) == draw(softmax, SCORES, generator_of(decision_id))


def test_propensity_is_the_frequency_of_being_drawn() -> None:
    softmax = Policy.from_settings({"policy": "softmax", "temperature": 1})
    generator = generator_of(UUID(int=7))
    drawn = Counter(draw(softmax, SCORES, generator) for _ in range(20_000))
    # At temperature 1 the chance is the score's share.
    for (position, propensity), times in drawn.items():
        assert propensity == pytest.approx(SCORES[position])
        assert times / 20_000 == pytest.approx(propensity, abs=0.015)


def test_a_candidate_without_a_score_stays_possible() -> None:
    assert draw(Policy.from_settings({}), [0.0], generator_of(uuid7())) == (0, 1.0)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"policy": "bandit"}, "policy"),
        ({"policy": "softmax", "temperature": 0}, "temperature"),
        ({"policy": "softmax", "temperature": "hot"}, "temperature"),
        ({"policy": "softmax", "temperature": True}, "temperature"),
    ],
)
def test_unusable_settings_are_named(settings: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Policy.from_settings(settings)
    assert field in refused.value.message_dict
