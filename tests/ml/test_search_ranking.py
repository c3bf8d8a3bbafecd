"""The search-ranking task: what clicks teach about relevance once the place is taken out of them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ml.data.ranked_lists import RankedLists, write_ranked_lists
from ml.evaluation.chosen import choice_gains
from ml.nn.additive_ranker import BUCKETS, AdditiveRanker, position_bucket
from ml.serving.predictor import load_predictor
from ml.serving.search_ranking import SearchRankingPredictor
from ml.simulation.clicks import NAMES, Browsing, Searches, simulate_clicks, simulate_searches, true_ndcg
from ml.tasks.base import FitReport
from ml.tasks.examination import estimate_examination
from ml.tasks.registry import TASKS
from ml.tasks.search_ranking_config import SearchRankingConfig
from ml.training.listwise import gather_lists, listwise_softmax

SEEDS = (0, 1, 2)
CANDIDATES = 20


def simulated_log(
    path: Path, seed: int, *, browsing: Browsing = "positions", exploration: float = 0.5, count: int = 1500
) -> tuple[RankedLists, Searches]:
    """A log of searches with clicks, and searches of the same kind to judge orders by."""
    generator = np.random.default_rng(seed)
    searches = simulate_searches(count, candidates=CANDIDATES, exploration=exploration, generator=generator)
    clicks = simulate_clicks(searches.relevance, browsing=browsing, power=1.0, generator=generator)
    judged = simulate_searches(500, candidates=CANDIDATES, exploration=exploration, generator=generator)
    return searches.log(path, clicks), judged


def fit(lists: RankedLists, out: Path, **config: Any) -> FitReport:
    return TASKS["search_ranking"].fit(lists, {"epochs": 12, "threads": 1} | config, out, progress=lambda _: None)


def ndcg_of(artifact: Path, searches: Searches) -> float:
    features = searches.features.reshape(-1, len(NAMES)).astype(np.float32)
    scores = SearchRankingPredictor.load(artifact).score(features, NAMES)
    return true_ndcg(searches.relevance, scores.reshape(searches.relevance.shape))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranker")
    lists, _ = simulated_log(folder / "lists", seed=0)
    fit(lists, folder / "artifact", epochs=4)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("browsing", "exploration"), [("positions", 0.5), ("positions", 0.0), ("cascade", 0.5)])
def test_without_the_bias_of_position_clicks_show_relevance(
    tmp_path: Path, browsing: Browsing, exploration: float
) -> None:
    """Against the known truth, over several seeds; also where people browse otherwise than the model assumes."""
    gains = []
    for seed in SEEDS:
        lists, judged = simulated_log(tmp_path / f"{seed}", seed, browsing=browsing, exploration=exploration)
        fit(lists, tmp_path / f"{seed}-corrected", seed=seed)
        fit(lists, tmp_path / f"{seed}-naive", seed=seed, position_bias=False)
        corrected, naive = (ndcg_of(tmp_path / f"{seed}-{name}", judged) for name in ("corrected", "naive"))
        logged = true_ndcg(judged.relevance, -np.tile(np.arange(CANDIDATES), (len(judged.relevance), 1)))
        gains.append((corrected - naive, naive - logged))
    over_naive, naive_over_logged = np.array(gains).T
    assert over_naive.min() > 0.02, gains
    assert over_naive.mean() > 3 * over_naive.std(), gains
    assert naive_over_logged.min() > 0, gains


def test_exploration_reveals_how_much_each_place_is_looked_at(tmp_path: Path) -> None:
    lists, _ = simulated_log(tmp_path / "lists", seed=3, count=3000)
    examination = estimate_examination(lists)
    assert examination[:5] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5], abs=0.08)


def test_the_report_says_what_the_model_was_compared_with(tmp_path: Path) -> None:
    lists, _ = simulated_log(tmp_path / "lists", seed=1, count=800)
    report = fit(lists, tmp_path / "artifact")

    assert report.metric == "ndcg@10"
    assert set(report.baselines) == {"client_order", "popularity"}
    assert report.score > max(report.baselines.values())
    assert report.gain_spread > 0
    assert report.counts["lists"] == len(lists)
    evaluated = TASKS["search_ranking"].evaluate(
        tmp_path / "artifact", lists, since=report.split["test_time"], until=math.inf
    )
    assert evaluated["ndcg@10"] == pytest.approx(report.score, abs=1e-5)


def test_the_same_seed_gives_the_same_weights(trained: Path, tmp_path: Path) -> None:
    lists = RankedLists.open(trained / "lists")
    fit(lists, tmp_path / "again", epochs=4)
    again, before = (SearchRankingPredictor.load(path).model for path in (tmp_path / "again", trained / "artifact"))
    assert all(torch.equal(again.state_dict()[name], weight) for name, weight in before.state_dict().items())


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(trained: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(progress: Any) -> None:
        if progress.stage == "training" and progress.epoch == 3:
            raise Stopped

    lists = RankedLists.open(trained / "lists")
    config = {"epochs": 4, "threads": 1, "checkpoint_seconds": 0}
    with pytest.raises(Stopped):
        TASKS["search_ranking"].fit(lists, config, tmp_path / "run", progress=stop)
    TASKS["search_ranking"].fit(lists, config, tmp_path / "run", progress=lambda _: None)

    resumed, whole = (SearchRankingPredictor.load(path).model for path in (tmp_path / "run", trained / "artifact"))
    assert all(torch.equal(resumed.state_dict()[name], weight) for name, weight in whole.state_dict().items())


def test_a_warm_start_goes_on_from_the_former_weights(trained: Path, tmp_path: Path) -> None:
    lists = RankedLists.open(trained / "lists")
    TASKS["search_ranking"].fit(
        lists,
        {"epochs": 1, "learning_rate": 1e-9, "threads": 1},
        tmp_path / "warm",
        progress=lambda _: None,
        initial=trained / "artifact",
    )
    warm, before = (SearchRankingPredictor.load(path).model for path in (tmp_path / "warm", trained / "artifact"))
    assert torch.allclose(warm.slope, before.slope, atol=1e-5)


def test_scores_are_the_sum_of_their_parts_and_ignore_the_rank_shown(trained: Path) -> None:
    predictor = load_predictor(trained / "artifact")
    lists = RankedLists.open(trained / "lists")
    columns = dict(zip(NAMES, lists.features[:CANDIDATES].T.tolist(), strict=True))

    first, second = predictor.predict([{"features": columns}, {"features": columns | {"unheard_of": [1.0] * 20}}])

    assert first == second
    assert np.sum(list(first["parts"].values()), axis=0) == pytest.approx(first["scores"], abs=1e-5)
    assert set(first["parts"]) == set(NAMES)


def test_a_missing_feature_adds_nothing(trained: Path) -> None:
    predictor = load_predictor(trained / "artifact")
    [answer] = predictor.predict([{"features": {"sequence": [None, 1.0]}}])
    assert answer["parts"]["sequence"][0] == 0.0
    assert answer["parts"]["sequence"][1] > 0.1
    assert answer["parts"]["price"] == [0.0, 0.0]


def test_columns_of_unequal_length_are_refused(trained: Path) -> None:
    predictor = load_predictor(trained / "artifact")
    with pytest.raises(ValueError, match="all of one length"):
        predictor.predict([{"features": {"sequence": [1.0], "price": [1.0, 2.0]}}])
    with pytest.raises(ValueError, match="at least one column"):
        predictor.predict([{"features": {}}])


def test_the_artifact_is_safetensors_and_json(trained: Path) -> None:
    artifact = trained / "artifact"
    files = {path.name for path in artifact.iterdir() if path.is_file()}
    assert files == {"model.safetensors", "config.json", "report.json"}
    assert json.loads((artifact / "config.json").read_text())["features"] == NAMES


def test_gains_weigh_a_choice_by_how_rarely_its_place_is_looked_at(tmp_path: Path) -> None:
    """Two lists of two: a choice at the first place, and one at the second, which half of the people look at."""
    lists = write_ranked_lists(
        tmp_path / "lists",
        list_of_row=[0, 0, 1, 1],
        time=[1.0, 2.0],
        rank=[1, 2, 1, 2],
        grade=[1, 0, 0, 1],
        features=[[0.0]] * 4,
        names=["score"],
    )
    examination = np.full(BUCKETS, 0.5)
    examination[0] = 1.0
    both = np.array([0, 1])

    as_shown = choice_gains(lists, both, np.array([2.0, 1.0, 2.0, 1.0]), examination)
    turned = choice_gains(lists, both, np.array([1.0, 2.0, 1.0, 2.0]), examination)
    tied = choice_gains(lists, both, np.zeros(4), examination)

    # Weights 1 and 2; NDCG 1 at the first place and 1 / log2(3) at the second.
    second = 1 / math.log2(3)
    assert as_shown.mean() == pytest.approx((1 * 1 + 2 * second) / 3)
    assert turned.mean() == pytest.approx((1 * second + 2 * 1) / 3)
    assert tied.mean() == pytest.approx(second)


def test_the_loss_is_the_cross_entropy_of_shares(tmp_path: Path) -> None:
    lists = write_ranked_lists(
        tmp_path / "lists",
        list_of_row=[0, 0, 0, 1, 1],
        time=[1.0, 2.0],
        rank=[1, 2, 3, 1, 2],
        grade=[3, 1, 0, 0, 2],
        features=[[0.0]] * 5,
        names=["score"],
    )
    batch = gather_lists(lists, np.array([0, 1]))
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.8, 9.9]]))

    expected = -((0.75 * math.log(0.5) + 0.25 * math.log(0.25)) + math.log(0.8)) / 2
    assert float(listwise_softmax(logits, batch)) == pytest.approx(expected, abs=1e-6)


def test_places_share_buckets_further_down() -> None:
    assert position_bucket([1, 2, 10, 11, 15, 16, 100, 101, 500]).tolist() == [0, 1, 9, 10, 10, 11, 14, 15, 15]
    assert BUCKETS == 16


def test_what_never_varies_and_what_is_never_known_adds_nothing() -> None:
    model = AdditiveRanker(3, hidden=4)
    features = np.array([[1.0, 5.0, np.nan], [3.0, 5.0, np.nan]], dtype=np.float32)
    model.standardise_by(features)
    torch.nn.init.ones_(model.slope)
    assert model.parts(torch.from_numpy(features)).tolist() == [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]


def test_too_few_lists_are_refused_with_the_cure(tmp_path: Path) -> None:
    lists = write_ranked_lists(
        tmp_path / "lists", list_of_row=[0], time=[1.0], rank=[1], grade=[1], features=[[1.0]], names=["client_rank"]
    )
    with pytest.raises(
        ValueError, match="1 lists have a chosen item; training needs 200: send events with the decision_id"
    ):
        fit(lists, tmp_path / "artifact")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 3}, "unknown settings depth; known are"),
        ({"hidden": 0}, "hidden must be a whole number from 1 to 128"),
        ({"grades": {}}, "grades must be grades of 0 or more by event type"),
        ({"grades": {"click": "much"}}, "grades must be"),
        ({"position_bias": 1}, "position_bias must be true or false"),
        ({"validation_quantile": 0.9, "test_quantile": 0.8}, "validation_quantile must be below test_quantile"),
    ],
)
def test_a_configuration_that_can_not_be_used_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchRankingConfig.from_dict(settings)


def test_a_configuration_comes_back_as_it_went() -> None:
    config = SearchRankingConfig.from_dict({"hidden": 4, "grades": {"click": 1}})
    assert SearchRankingConfig.from_dict(config.to_dict()) == config
