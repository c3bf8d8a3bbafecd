from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.evaluation import rules as rules_module
from ml.evaluation.mixture import Mixture, blended_mixtures, choose_mixture, untrained_mixtures
from ml.evaluation.rules import SequentialRules, count_rules, popularity
from ml.evaluation.session_neighbors import NeighborSettings
from ml.evaluation.untrained import Untrained, count_untrained, recency_weights, recent_items

ITEMS = 5
SEQUENCES = st.lists(st.lists(st.integers(1, ITEMS), min_size=1, max_size=8), min_size=1, max_size=5)


def flat(sequences: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    subject = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    return np.concatenate(sequences), subject


def counted_in_a_dict(sequences: list[list[int]], gap: int) -> dict[tuple[int, int], float]:
    """The rules as their definition reads."""
    counts: dict[tuple[int, int], float] = defaultdict(float)
    for sequence in sequences:
        for later, successor in enumerate(sequence):
            for earlier in range(max(0, later - gap), later):
                counts[sequence[earlier], successor] += 1.0 / (later - earlier)
    return counts


def as_dict(rules: SequentialRules) -> dict[tuple[int, int], float]:
    return {
        (code, int(successor) + 1): float(weight)
        for code in range(1, rules.items + 1)
        for successor, weight in zip(*rules.row(code), strict=True)
    }


@settings(max_examples=100)
@given(sequences=SEQUENCES, gap=st.integers(1, 4))
def test_rules_equal_a_plain_count(sequences: list[list[int]], gap: int) -> None:
    item, subject = flat(sequences)
    rules = count_rules(item, subject, items=ITEMS, gap=gap, normalised=False)
    assert as_dict(rules) == pytest.approx(counted_in_a_dict(sequences, gap), rel=1e-6)


@settings(max_examples=100)
@given(sequences=SEQUENCES)
def test_scores_equal_a_plain_sum(sequences: list[list[int]]) -> None:
    item, subject = flat(sequences)
    counts = counted_in_a_dict(sequences, 10)
    rules = count_rules(item, subject, items=ITEMS, normalised=False)
    histories = [sequence[::-1][:3] for sequence in sequences]
    recent = np.array([history + [0] * (3 - len(history)) for history in histories])
    age = np.arange(1, 4, dtype=np.float32)
    scores = rules.scores(recent, np.tile(1.0 / age, (len(recent), 1)))
    for case, history in enumerate(histories):
        for code in range(1, ITEMS + 1):
            expected = sum(counts.get((source, code), 0.0) / (rank + 1) for rank, source in enumerate(history))
            assert scores[case, code - 1] == pytest.approx(expected, rel=1e-5)


@settings(max_examples=50)
@given(sequences=SEQUENCES)
def test_normalised_rows_are_distributions_heaviest_first(sequences: list[list[int]]) -> None:
    rules = count_rules(*flat(sequences), items=ITEMS)
    for code in range(1, ITEMS + 1):
        _, weight = rules.row(code)
        assert not len(weight) or weight.sum() == pytest.approx(1.0, rel=1e-5)
        assert (np.diff(weight) <= 0).all()


def test_counting_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    item, subject = generator.integers(1, 20, 500), np.sort(generator.integers(0, 30, 500))
    whole = as_dict(count_rules(item, subject, items=20))
    monkeypatch.setattr(rules_module, "PAIRS_IN_MEMORY", 100)
    assert as_dict(count_rules(item, subject, items=20)) == pytest.approx(whole)


def test_only_the_heaviest_successors_are_kept() -> None:
    item, subject = flat([[1, 2], [1, 2], [1, 3], [4, 5]])
    rules = count_rules(item, subject, items=ITEMS, successors=1)
    assert as_dict(rules) == {(1, 2): 1.0, (4, 5): 1.0}


def test_popularity_is_a_share_and_uniform_without_events() -> None:
    assert popularity(np.array([1, 1, 3]), items=3).tolist() == pytest.approx([2 / 3, 0.0, 1 / 3])
    assert popularity(np.array([], dtype=np.int64), items=4).tolist() == [0.25] * 4


def test_recent_items_are_the_newest_first_and_pass_over_events_without_an_item() -> None:
    history = np.array([[3, 0, 5, 0, 2], [4, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert recent_items(history, 2).tolist() == [[2, 5], [4, 0], [0, 0]]
    assert recent_items(history, 6).tolist()[0] == [2, 5, 3, 0, 0, 0]
    weights = recency_weights(recent_items(history, 2))
    assert weights == pytest.approx(np.array([[2 / 3, 1 / 3], [1.0, 0.0], [0.0, 0.0]]))


@pytest.mark.parametrize("neighbors", [None, NeighborSettings(window=6)])
def test_untrained_components_are_distributions_and_survive_a_file(
    tmp_path: Path, neighbors: NeighborSettings | None
) -> None:
    generator = np.random.default_rng(0)
    item, subject = generator.integers(0, 9, 300), np.sort(generator.integers(0, 20, 300))
    untrained = count_untrained(
        item, subject, np.arange(300.0), items=8, gap=3, window=4, successors=None, neighbors=neighbors
    )
    recent = recent_items(generator.integers(1, 9, (6, 10)), untrained.reach)
    components = untrained.components(recent)
    assert untrained.reach == (6 if neighbors else 4)
    assert components[[1, 3, 4]].sum(axis=2) == pytest.approx(np.ones((3, 6)), rel=1e-5)
    assert not components[0].any()
    assert components[2].sum(axis=1) == pytest.approx(np.full(6, 1.0 if neighbors else 0.0), rel=1e-5)
    untrained.save(tmp_path)
    assert np.array_equal(Untrained.load(tmp_path).components(recent), components)

    grown = untrained.with_items(2).components(recent)
    assert np.array_equal(grown[:, :, :8], components)
    assert not grown[:, :, 8:].any()


def test_every_candidate_mixture_shares_out_exactly_one() -> None:
    untrained = untrained_mixtures(with_neighbors=True)
    for mixture in untrained + blended_mixtures(untrained[5]) + blended_mixtures(untrained[-1]):
        assert sum(mixture.to_dict().values()) == pytest.approx(1.0)
    assert blended_mixtures(untrained[5])[0] == untrained[5]
    assert not any(mixture.neighbors for mixture in untrained_mixtures(with_neighbors=False))


def test_the_mixture_with_the_best_ndcg_is_chosen_and_the_first_of_equals() -> None:
    one, two, three = Mixture(1, 0, 0, 0, 0), Mixture(0, 1, 0, 0, 0), Mixture(0, 0, 1, 0, 0)
    assert choose_mixture([one, two, three], np.array([[9, 9], [1, 2], [2, 1]])) == two
