import math
import time as clock
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.evaluation.session_neighbors import NeighborSettings, SessionNeighbors

ITEMS = 6
SESSIONS = st.lists(st.lists(st.integers(1, ITEMS), min_size=1, max_size=7), min_size=1, max_size=8)
PREFIX = st.lists(st.integers(1, ITEMS), min_size=1, max_size=6)
DECAYS = st.sampled_from([0.5, 2.0, math.inf])


def fitted(sessions: list[list[int]], chosen: NeighborSettings | None = None, items: int = ITEMS) -> SessionNeighbors:
    """Session k is later than session k - 1, one time unit each."""
    session = np.repeat(np.arange(len(sessions)), [len(events) for events in sessions])
    return SessionNeighbors.fit(np.concatenate(sessions), session, session, items=items, settings=chosen)


def plain_vstan(sessions: list[list[int]], prefix: list[int], chosen: NeighborSettings) -> dict[int, float]:
    """V-STAN as its definition reads, session by session, for data that none of the limits cuts."""
    score: dict[int, float] = defaultdict(float)
    for number, session in enumerate(sessions):
        last_place = {item: place for place, item in enumerate(session)}
        similarity, newest_match = 0.0, None
        seen = set()
        for age, item in enumerate(reversed(prefix)):
            if item in last_place and item not in seen:
                holders = sum(item in other for other in sessions)
                similarity += math.exp(-age / chosen.prefix_decay) * math.log(len(sessions) / holders) ** chosen.rarity
                newest_match = item if newest_match is None else newest_match
            seen.add(item)
        if newest_match is None:
            continue
        similarity /= math.sqrt(len(last_place))
        similarity *= math.exp(-(len(sessions) - 1 - number) / chosen.session_decay)
        for item, place in last_place.items():
            distance = place - last_place[newest_match]
            nearness = math.exp(-abs(distance) / chosen.distance_decay)
            score[item] += similarity * nearness * (chosen.before if distance < 0 else 1.0)
    total = sum(score.values())
    return {item: value / total for item, value in score.items() if value > 0}


@settings(max_examples=200)
@given(
    sessions=SESSIONS,
    prefix=PREFIX,
    prefix_decay=DECAYS,
    session_decay=DECAYS,
    distance_decay=DECAYS,
    rarity=st.sampled_from([0.0, 1.0]),
    before=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_scores_equal_a_plain_computation(
    sessions: list[list[int]],
    prefix: list[int],
    prefix_decay: float,
    session_decay: float,
    distance_decay: float,
    rarity: float,
    before: float,
) -> None:
    chosen = NeighborSettings(
        prefix_decay=prefix_decay,
        session_decay=session_decay,
        distance_decay=distance_decay,
        rarity=rarity,
        before=before,
    )
    found, score = fitted(sessions, chosen).sparse(np.array(prefix))
    assert dict(zip(found.tolist(), score.tolist(), strict=True)) == pytest.approx(
        plain_vstan(sessions, prefix, chosen), rel=1e-4, abs=1e-7
    )


def test_values_worked_out_by_hand() -> None:
    chosen = NeighborSettings(prefix_decay=1.0, session_decay=math.inf, distance_decay=1.0, rarity=0.0)
    found, score = fitted([[1, 2, 3], [2, 4]], chosen).sparse(np.array([1, 2]))
    # Session 0 shares 2 and 1 (1 + 1/e), session 1 shares 2 alone; both match at 2.
    first, second, step = (1 + math.exp(-1)) / math.sqrt(3), 1 / math.sqrt(2), math.exp(-1)
    expected = np.array([first * step, first + second, first * step, second * step])
    assert found.tolist() == [1, 2, 3, 4]
    assert score == pytest.approx(expected / expected.sum(), rel=1e-6)


def test_only_the_newest_sessions_of_an_item_are_looked_up() -> None:
    sessions = [[1, 2], [1, 3], [1, 4]]
    two_sessions = fitted(sessions, NeighborSettings(sessions_per_item=2, rarity=0.0))
    assert two_sessions.sparse(np.array([1]))[0].tolist() == [1, 3, 4]
    newest_sample = fitted(sessions, NeighborSettings(sample=1, rarity=0.0))
    assert newest_sample.sparse(np.array([1]))[0].tolist() == [1, 4]


def test_only_the_most_similar_sessions_speak() -> None:
    neighbors = fitted([[1, 2, 5], [1, 3, 6, 4], [2, 6]], NeighborSettings(neighbors=1, rarity=0.0))
    assert neighbors.sparse(np.array([1, 2]))[0].tolist() == [1, 2, 5]


def test_time_decides_which_session_is_newest_whatever_the_session_numbers() -> None:
    item, session = np.array([1, 2, 1, 3]), np.array([7, 7, 9, 9])
    later_first = SessionNeighbors.fit(
        item, session, np.array([50.0, 60.0, 0.0, 10.0]), items=3, settings=NeighborSettings(sample=1, rarity=0.0)
    )
    assert later_first.sparse(np.array([1]))[0].tolist() == [1, 2]


def test_an_unknown_prefix_finds_nothing() -> None:
    neighbors = fitted([[1, 2], [2, 3]])
    assert neighbors.scores(np.array([[6, 0], [0, 0]])).sum() == 0.0
    found, score = neighbors.top(np.array([6]), 5)
    assert len(found) == len(score) == 0


def test_a_code_outside_the_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.6"):
        fitted([[1, 7]])


@settings(max_examples=50)
@given(sessions=SESSIONS, prefix=PREFIX)
def test_scores_and_top_are_the_same_answer(sessions: list[list[int]], prefix: list[int]) -> None:
    neighbors = fitted(sessions)
    dense = neighbors.scores(np.array([[*prefix[::-1], 0, 0]]))[0]
    found, score = neighbors.top(np.array(prefix), ITEMS)
    assert dense[found - 1] == pytest.approx(score)
    assert list(score) == sorted(score, reverse=True)
    assert dense.sum() == pytest.approx(score.sum(), abs=1e-6)


@settings(max_examples=100)
@given(sessions=SESSIONS, prefix=PREFIX, before=st.sampled_from([0.0, 1.0]))
def test_the_contributions_of_the_events_add_up_to_the_scores(
    sessions: list[list[int]], prefix: list[int], before: float
) -> None:
    neighbors = fitted(sessions, NeighborSettings(before=before))
    recent = np.array([*prefix[::-1], 0, 0])
    parts = neighbors.contributions(recent, np.arange(1, ITEMS + 1))
    assert parts.shape == (len(recent), ITEMS)
    assert parts.sum(axis=0) == pytest.approx(neighbors.scores(recent[None])[0], abs=1e-5)


def test_a_contribution_is_the_share_of_the_similarity_that_the_event_brings() -> None:
    neighbors = fitted([[1, 2, 3], [4, 5]], NeighborSettings(prefix_decay=1.0, rarity=0.0))
    parts = neighbors.contributions(np.array([2, 0, 1]), np.array([3]))
    score = neighbors.scores(np.array([[2, 0, 1]]))[0, 2]
    share = 1 / (1 + math.exp(-1))
    assert parts[:, 0] == pytest.approx([share * score, 0.0, (1 - share) * score], rel=1e-5)


def test_a_pause_ends_a_session() -> None:
    item, subject, time = np.array([1, 2, 3]), np.array([0, 0, 0]), np.array([0.0, 10.0, 5000.0])
    settings = NeighborSettings(rarity=0.0, session_gap=1800.0)
    paused = SessionNeighbors.fit(item, subject, time, items=3, settings=settings)
    assert paused.sparse(np.array([1]))[0].tolist() == [1, 2]
    whole = SessionNeighbors.fit(item, subject, time, items=3, settings=NeighborSettings(rarity=0.0))
    assert whole.sparse(np.array([1]))[0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neighbours": 3}, "neighbours"),
        ({"window": 2.5}, r"neighbors\.window must be a whole number"),
        ({"prefix_decay": 0}, r"neighbors\.prefix_decay must be above 0"),
        ({"rarity": "high"}, r"neighbors\.rarity must be a number"),
    ],
)
def test_a_bad_setting_is_named(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeighborSettings.from_dict(settings)


def test_a_saved_index_answers_the_same(tmp_path: Path) -> None:
    neighbors = fitted([[1, 2, 3], [2, 4, 2], [3, 1]], NeighborSettings(sample=7, session_decay=3.0))
    neighbors.save(tmp_path / "neighbors.safetensors")
    loaded = SessionNeighbors.load(tmp_path / "neighbors.safetensors")
    recent = np.array([[2, 1], [3, 0]])
    assert loaded.settings == neighbors.settings
    assert np.array_equal(loaded.scores(recent), neighbors.scores(recent))


def test_a_query_takes_well_below_five_milliseconds() -> None:
    random = np.random.default_rng(0)
    item = 1 + np.minimum(random.zipf(1.3, 200_000), 5_000) - 1
    session = np.arange(len(item)) // 5
    neighbors = SessionNeighbors.fit(item, session, session, items=5_000)
    prefixes = random.choice(item, (50, 5))
    seconds = []
    for prefix in prefixes:
        begin = clock.perf_counter()
        neighbors.top(prefix, 20)
        seconds.append(clock.perf_counter() - begin)
    assert np.median(seconds) < 0.005
