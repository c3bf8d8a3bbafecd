"""Maximum inner product search over the items, and the predictor that stands on it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from torch.nn import functional

from ml.data.columns import EventColumns
from ml.data.item_features import ItemFeatures, write_item_features
from ml.data.splits import window_cases
from ml.serving import item_index
from ml.serving.clustered_index import ClusteredIndex
from ml.serving.item_index import ExactIndex, ItemIndex, build_index, open_index, save_index
from ml.serving.next_item import NextItemPredictor
from ml.serving.requests import NextItemRequest
from ml.tasks.registry import TASKS
from tests.ml.logs import TINY, make_log

Ask = Callable[..., NextItemRequest]
DIMENSION = 16


def catalogue(items: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors in groups whose norms grow with popularity, as trained ones do, and biases that follow it."""
    generator = np.random.default_rng(seed)
    centre = generator.normal(size=(max(1, items // 50), DIMENSION))
    popularity = generator.normal(size=items)
    vectors = centre[generator.integers(len(centre), size=items)] + 0.5 * generator.normal(size=(items, DIMENSION))
    vectors *= (1.0 + 0.2 * popularity)[:, None]
    return torch.from_numpy(vectors.astype(np.float32)), torch.from_numpy(popularity.astype(np.float32))


def queries(vectors: torch.Tensor, count: int, *, seed: int = 1) -> np.ndarray:
    """Near items, so that some logits stand out."""
    generator = np.random.default_rng(seed)
    near = vectors.numpy()[generator.integers(len(vectors), size=count)]
    return (near + 0.5 * generator.normal(size=near.shape)).astype(np.float32)


def all_logits(vectors: torch.Tensor, bias: torch.Tensor, query: np.ndarray) -> np.ndarray:
    return query.astype(np.float64) @ vectors.numpy().T.astype(np.float64) + bias.numpy()


def best_codes(logits: np.ndarray, count: int, allowed: np.ndarray) -> list[list[int]]:
    """By sorting everything, (queries, at most count)."""
    kept = np.where(allowed, logits, -np.inf)
    return [[int(item) + 1 for item in np.argsort(-row)[: min(count, allowed.sum())]] for row in kept]


def recall(found: np.ndarray, expected: list[list[int]]) -> float:
    return float(np.mean([len(set(one) & set(other)) / len(other) for one, other in zip(found, expected, strict=True)]))


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold that a test's catalogue exceeds."""
    monkeypatch.setattr(item_index, "EXACT_ITEMS", 1_000)


@pytest.fixture(scope="module")
def clustered() -> ClusteredIndex:
    return ClusteredIndex.build(ExactIndex(*catalogue(3_000)), least_read=100)


@given(
    items=st.integers(1, 300),
    asked=st.integers(1, 4),
    count=st.integers(1, 12),
    chunk=st.integers(1, 64),
    seed=st.integers(0, 10**6),
)
def test_exact_search_is_sorting_all_logits(items: int, asked: int, count: int, chunk: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    vectors, bias = catalogue(items, seed=seed)
    query = generator.normal(size=(asked, DIMENSION)).astype(np.float32)
    allowed = generator.random(items) < generator.random()
    logits = all_logits(vectors, bias, query)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_index, "ITEMS_AT_ONCE", chunk)
        index = ExactIndex(vectors, bias)
        for filter_ in (allowed, np.flatnonzero(allowed) + 1):
            codes, found = index.search(query, count, allowed=filter_)
            expected = best_codes(logits, count, allowed)
            assert [row[row > 0].tolist() for row in codes] == expected
            for row, wanted in enumerate(expected):
                np.testing.assert_allclose(
                    found[row, : len(wanted)], logits[row, np.array(wanted, dtype=int) - 1], atol=1e-4
                )
                assert np.isneginf(found[row, len(wanted) :]).all()
        total = np.log(np.exp(logits).sum(axis=1))
        np.testing.assert_allclose(index.lead(query, count)[1], total, atol=1e-4)


@given(share=st.floats(0.0, 1.0), near=st.booleans(), count=st.integers(1, 300), seed=st.integers(0, 10**6))
def test_a_filtered_list_is_never_short(
    clustered: ClusteredIndex, share: float, near: bool, count: int, seed: int
) -> None:
    """Whatever the filter lets through: a random share, or the share that is farthest from the query."""
    generator = np.random.default_rng(seed)
    exact = clustered.exact
    query = queries(exact.vectors_JD, 2, seed=seed)
    chance = generator.random(exact.items)
    if near:
        chance = all_logits(exact.vectors_JD, exact.bias_J, query)[0].argsort().argsort() / exact.items
    allowed = chance < share
    codes, logits = clustered.search(query, count, allowed=allowed)
    full = min(count, int(allowed.sum()))
    for row in range(2):
        listed = codes[row, :full]
        assert (codes[row, full:] == 0).all()
        assert len(set(listed.tolist())) == full
        assert allowed[listed - 1].all()
        expected = all_logits(exact.vectors_JD, exact.bias_J, query)[row, listed - 1]
        np.testing.assert_allclose(logits[row, :full], expected, atol=1e-3)
        assert (np.diff(logits[row, :full]) <= 0).all()


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
def test_the_clustered_index_finds_what_exact_search_finds(share: float) -> None:
    vectors, bias = catalogue(25_000)
    index, query = build_index(vectors, bias), queries(vectors, 100)
    assert isinstance(index, ClusteredIndex)
    allowed = np.random.default_rng(2).random(25_000) < share
    found, _ = index.search(query, 10, allowed=None if share == 1.0 else allowed)
    assert recall(found, best_codes(all_logits(vectors, bias, query), 10, allowed)) >= 0.99


@pytest.mark.usefixtures("small_limit")
def test_a_filter_to_one_far_group_is_searched_there() -> None:
    """Lists without an allowed item do not count as read."""
    vectors, bias = catalogue(25_000)
    index, query = build_index(vectors, bias), queries(vectors, 50)
    direction = query.mean(axis=0)
    allowed = vectors.numpy() @ direction < np.quantile(vectors.numpy() @ direction, 0.2)
    found, _ = index.search(query, 10, allowed=allowed)
    assert recall(found, best_codes(all_logits(vectors, bias, query), 10, allowed)) >= 0.97


@pytest.mark.usefixtures("small_limit")
def test_the_normaliser_is_estimated_within_a_few_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.serving.clustered_index.SAMPLE", 2_000)
    vectors, bias = catalogue(25_000)
    index, query = build_index(vectors, bias), queries(vectors, 100)
    truth = np.log(np.exp(all_logits(vectors, bias, query)).sum(axis=1))
    error = index.lead(query, 300)[1] - truth
    assert np.quantile(np.abs(error), 0.9) < 0.1
    assert abs(error.mean()) < 0.02


@pytest.mark.usefixtures("small_limit")
def test_added_items_are_found_and_the_index_before_stays_as_it_was() -> None:
    vectors, bias = catalogue(5_000)
    # Longer than the others, so that each leads where it is asked for.
    more = 20.0 * functional.normalize(torch.randn(50, DIMENSION, generator=torch.Generator().manual_seed(3)))
    index = build_index(vectors, bias)
    grown = index.with_items(torch.cat([vectors, more]), torch.cat([bias, torch.full((50,), 2.0)]))
    query = more.numpy() / 10.0
    assert grown.search(query, 1)[0][:, 0].tolist() == list(range(5_001, 5_051))
    assert (index.search(query, 20)[0] <= 5_000).all()
    assert (index.items, grown.items) == (5_000, 5_050)
    truth = np.log(np.exp(all_logits(grown.exact.vectors_JD, grown.exact.bias_J, query)).sum(axis=1))  # type: ignore[attr-defined]
    np.testing.assert_allclose(grown.lead(query, 300)[1], truth, atol=0.2)


@pytest.mark.usefixtures("small_limit")
def test_a_stored_index_answers_as_the_one_that_was_built(tmp_path: Path) -> None:
    vectors, bias = catalogue(5_000)
    query = queries(vectors, 20)
    save_index(tmp_path, vectors, bias)
    opened, built = open_index(tmp_path, vectors, bias), build_index(vectors, bias)
    for one, other in zip(opened.search(query, 10), built.search(query, 10), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [path.name for path in tmp_path.iterdir()] == [item_index.FILE]


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("name", ["centroids", "list_of_item", "bias_scale"])
def test_a_stored_index_that_does_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    """A list number out of range would make faiss write outside its memory."""
    vectors, bias = catalogue(1_500)
    save_index(tmp_path, vectors, bias)
    arrays = load_file(tmp_path / item_index.FILE)
    wrong = {"centroids": np.nan, "list_of_item": 10**6, "bias_scale": 0.0}
    arrays[name] = np.full_like(arrays[name], wrong[name])
    save_file(arrays, tmp_path / item_index.FILE)
    with pytest.raises(ValueError, match="train the model again"):
        open_index(tmp_path, vectors, bias)
    with pytest.raises(ValueError, match="train the model again"):
        open_index(tmp_path, vectors[:1_200], bias[:1_200])


def test_a_small_catalogue_is_searched_exactly_and_stores_nothing(tmp_path: Path) -> None:
    vectors, bias = catalogue(500)
    save_index(tmp_path, vectors, bias)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(open_index(tmp_path, vectors, bias), ExactIndex)


@pytest.mark.parametrize(
    "index", [ExactIndex(*catalogue(50)), ClusteredIndex.build(ExactIndex(*catalogue(50)), least_read=1)]
)
def test_a_filter_that_does_not_fit_the_items_is_refused(index: ItemIndex) -> None:
    query = np.zeros((1, DIMENSION), dtype=np.float32)
    with pytest.raises(ValueError, match="one boolean for each of the 50 items"):
        index.search(query, 3, allowed=np.ones(49, dtype=bool))
    with pytest.raises(ValueError, match=r"item codes lie in 1\.\.50"):
        index.search(query, 3, allowed=np.array([0, 4]))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventColumns, NextItemPredictor, NextItemPredictor]:
    """A log of 400 items whose model is above the threshold; its predictor, and one that scores all items."""
    folder = tmp_path_factory.mktemp("large")
    log = make_log(folder / "columns", subjects=60, items=400)
    names = [f"brand-{number % 7}" for number in range(400)]
    write_item_features(folder / "columns", items=log.items, attributes={"brand": names})
    settings = {**TINY, "epochs": 1, "inputs": ["type", "attributes"], "copying": True}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_index, "EXACT_ITEMS", 200)
        patch.setattr("ml.serving.shortlist.ALL_SCORED", 200)
        patch.setattr("ml.serving.shortlist.LEADERS", 40)
        TASKS["next_item"].fit(log, settings, folder / "model", progress=lambda _: None)
        assert (folder / "model" / item_index.FILE).exists()
        # Each part of the mixture has a say, whatever training would make of them.
        config = json.loads((folder / "model" / "config.json").read_text())
        config["mixture"] |= {"neural": 0.6, "rules": 0.2, "repeats": 0.1, "popularity": 0.1}
        (folder / "model" / "config.json").write_text(json.dumps(config))
        short = NextItemPredictor.load(folder / "model")
    dense = NextItemPredictor.load(folder / "model")
    assert short.shortlist is not None
    assert dense.shortlist is None
    return log, short, dense


def histories(log: EventColumns, count: int) -> list[list[str]]:
    cases, _ = window_cases(log, start=float(np.quantile(log.time, 0.9)), end=np.inf, successive=True)
    spans = zip(cases.start[:count], cases.target[:count], strict=True)
    return [[log.items[code - 1] for code in log.item[start:target]] for start, target in spans]


def agreement(one: list[list[str]], other: list[list[str]]) -> float:
    return float(
        np.mean([len(set(first) & set(second)) / len(second) for first, second in zip(one, other, strict=True)])
    )


def test_above_the_threshold_lists_are_those_of_dense_scoring(
    large: tuple[EventColumns, NextItemPredictor, NextItemPredictor], ask: Ask
) -> None:
    log, short, dense = large
    requests = [ask(history) for history in histories(log, 60)]
    one, other = short.predict(requests), dense.predict(requests)
    assert agreement([answer["items"] for answer in one], [answer["items"] for answer in other]) > 0.97
    for first, second in zip(one, other, strict=True):
        scores = dict(zip(second["items"], second["scores"], strict=True))
        both = [item for item in first["items"] if item in scores]
        given = [first["scores"][first["items"].index(item)] for item in both]
        assert given == pytest.approx([scores[item] for item in both], rel=0.05, abs=1e-4)
        assert first["attention"] == pytest.approx(second["attention"], abs=1e-6)
        assert first["because"][0] == second["because"][0]


def test_above_the_threshold_exclusions_hold_and_lists_stay_full(
    large: tuple[EventColumns, NextItemPredictor, NextItemPredictor], ask: Ask
) -> None:
    log, short, dense = large
    history = histories(log, 1)[0]
    excluded = [*dense.predict([ask(history, count=120)])[0]["items"], "nobody-knows"]
    requests = [ask(history, exclude=excluded, count=50)]
    (one,), (other,) = short.predict(requests), dense.predict(requests)
    assert len(one["items"]) == 50
    assert not set(one["items"]) & set(excluded)
    assert agreement([one["items"]], [other["items"]]) > 0.9
    (nothing,) = short.predict([ask(history, exclude=log.items)])
    assert nothing["items"] == []
    (rest,) = short.predict([ask(history, exclude=log.items[:395])])
    assert sorted(rest["items"]) == sorted(log.items[395:])


@pytest.mark.parametrize("few", [1_000, 10])
def test_above_the_threshold_candidates_are_ranked_among_themselves(
    large: tuple[EventColumns, NextItemPredictor, NextItemPredictor],
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    few: int,
) -> None:
    """Whether all of them are scored or the leaders among them."""
    log, short, dense = large
    monkeypatch.setattr("ml.serving.shortlist.SCORED_CANDIDATES", few)
    candidates = ["nobody-knows", *log.items[::3]]
    requests = [
        ask(history, candidates=candidates, exclude=log.items[:30], count=count)
        for history in histories(log, 20)
        for count in (5, 200)
    ]
    for one, other in zip(short.predict(requests), dense.predict(requests), strict=True):
        assert len(one["items"]) == len(other["items"])
        assert agreement([one["items"][:10]], [other["items"][:10]]) >= 0.8
        assert one["items"][-1:] == other["items"][-1:] or "nobody-knows" not in other["items"]


def test_above_the_threshold_new_items_are_ranked_at_once(
    large: tuple[EventColumns, NextItemPredictor, NextItemPredictor], ask: Ask
) -> None:
    log, short, dense = large
    features = ItemFeatures.build(items=2, attributes={"brand": ["brand-3", "brand-5"]})
    grown, expected = short.add_items(["new-1", "new-2"], features), dense.add_items(["new-1", "new-2"], features)
    requests = [ask(history, candidates=["new-1", "item-9", "new-2"]) for history in histories(log, 10)]
    for one, other in zip(grown.predict(requests), expected.predict(requests), strict=True):
        assert one["items"] == other["items"]
    assert short.vocabulary.items == log.items


def test_the_index_counts_as_memory(large: tuple[EventColumns, NextItemPredictor, NextItemPredictor]) -> None:
    _, short, _ = large
    without = replace(short, shortlist=None)
    assert short.nbytes - without.nbytes >= 400 * (TINY["dimension"] + 1) * 4
