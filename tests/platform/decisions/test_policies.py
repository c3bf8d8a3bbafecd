"""Policies: which candidates are shown, and with what propensity."""

from collections import Counter
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from uuid_utils.compat import uuid7

from decisions.policies import Policy, choose

SCORES = [0.2, 0.5, 0.3]


def test_greedy_serves_by_falling_score_with_certainty() -> None:
    choice = choose(Policy.from_settings({}), scores=SCORES, count=2, decision_id=uuid7())
    assert choice.positions == [1, 2]
    assert choice.propensities == [1.0, 1.0]


def test_a_draw_can_be_repeated_from_the_decisions_id() -> None:
    softmax = Policy.from_settings({"policy": "softmax", "temperature": 1})
    decision_id = UUID("01900000-0000-7000-8000-000000000001")
    first = choose(softmax, scores=SCORES, count=3, decision_id=decision_id)
    assert choose(softmax, scores=SCORES, count=3, decision_id=decision_id) == first


def test_propensity_is_the_frequency_of_being_drawn() -> None:
    softmax = Policy.from_settings({"policy": "softmax", "temperature": 1})
    draws = [choose(softmax, scores=SCORES, count=2, decision_id=UUID(int=number)) for number in range(20_000)]
    first = Counter(choice.positions[0] for choice in draws)
    # At temperature 1 the chance of the first rank is the score's share.
    for position, score in enumerate(SCORES):
        assert first[position] / len(draws) == pytest.approx(score, abs=0.015)
    # The second rank's propensity is given the first: 0.3 / (1 - 0.5) after position 1, then 2.
    after = next(choice for choice in draws if choice.positions == [1, 2])
    assert after.propensities == pytest.approx([0.5, 0.6])


def test_a_candidate_without_a_score_comes_last_but_comes() -> None:
    choice = choose(Policy.from_settings({}), scores=[0.0, 0.4], count=5, decision_id=uuid7())
    assert choice.positions == [1, 0]


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
