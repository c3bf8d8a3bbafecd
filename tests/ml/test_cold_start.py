"""Items without any event, and subjects with a single one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.data.batches import make_batch
from ml.data.columns import EventColumns, write_columns
from ml.data.item_features import ItemFeatures, write_item_features
from ml.evaluation.mixture import NEURAL
from ml.serving.next_item import NextItemPredictor
from ml.serving.requests import NextItemRequest
from ml.tasks.registry import TASKS
from tests.ml.logs import TINY

CLUSTERS, PER_CLUSTER = 4, 10
CENTRES = np.eye(CLUSTERS, 6, dtype=np.float32)


def cluster_log(path: Path) -> EventColumns:
    """Each subject stays with the items of one cluster, whose brand and text say which it is; cluster 0 is popular."""
    generator = np.random.default_rng(0)
    subject, item = [], []
    for number in range(160):
        cluster = int(generator.choice(CLUSTERS, p=[0.4, 0.2, 0.2, 0.2]))
        length = int(generator.integers(4, 12))
        subject += [number] * length
        item += (1 + cluster * PER_CLUSTER + generator.integers(PER_CLUSTER, size=length)).tolist()
    items = [f"item-{number}" for number in range(CLUSTERS * PER_CLUSTER)]
    time = generator.uniform(0, 1e6, len(item))
    columns = write_columns(
        path,
        subject=subject,
        item=item,
        type=np.zeros(len(item)),
        time=time,
        value=np.full(len(item), np.nan),
        items=items,
        types=["view"],
    )
    described = features(np.repeat(np.arange(CLUSTERS), PER_CLUSTER))
    write_item_features(
        path,
        items=items,
        attributes={"brand": brands(np.repeat(np.arange(CLUSTERS), PER_CLUSTER))},
        text=described.text,
    )
    return columns


def brands(cluster: np.ndarray) -> list[str]:
    return [f"brand-{number}" for number in cluster]


def features(cluster: np.ndarray) -> ItemFeatures:
    noise = np.random.default_rng(1).normal(scale=0.1, size=(len(cluster), CENTRES.shape[1]))
    text = (CENTRES[cluster] + noise).astype(np.float32)
    return ItemFeatures.build(items=len(cluster), attributes={"brand": brands(cluster)}, text=text)


def request(items: list[str], count: int = 10) -> NextItemRequest:
    events = len(items)
    times = [3600.0 * event for event in range(events)]
    return NextItemRequest(items=items, types=["view"] * events, times=times, values=[None] * events, count=count)


def cluster_of(item: str) -> int:
    return int(item.split("-")[1]) // PER_CLUSTER


@pytest.fixture(scope="module", params=["attributes", "text"])
def predictor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NextItemPredictor:
    folder = tmp_path_factory.mktemp("cluster")
    settings = {**TINY, "epochs": 8, "inputs": [request.param], "copying": False, "id_dropout": 0.2}
    TASKS["next_item"].fit(cluster_log(folder / "columns"), settings, folder / "model", progress=lambda _: None)
    return NextItemPredictor.load(folder / "model")


def test_a_new_item_ranks_among_those_it_is_like(predictor: NextItemPredictor) -> None:
    """Half of a cluster's own items would rank above a new one of equal worth; no other cluster's should."""
    new = [f"new-{cluster}" for cluster in range(CLUSTERS)]
    grown = predictor.add_items(new, features(np.arange(CLUSTERS)))
    # What nobody has come upon yet has no rules, so that the network alone can speak for it.
    network_alone = replace(grown, scorer=replace(grown.scorer, mixture=NEURAL))
    for cluster in range(CLUSTERS):
        history = [f"item-{cluster * PER_CLUSTER + number}" for number in (0, 3, 5)]
        ranking = network_alone.predict([request(history, count=44)])[0]["items"]
        others = [ranking.index(name) for name in new if name != f"new-{cluster}"]
        assert ranking.index(f"new-{cluster}") < PER_CLUSTER + 4
        assert ranking.index(f"new-{cluster}") < min(others)


def test_a_new_item_speaks_for_a_subject_as_the_ones_it_is_like_do(predictor: NextItemPredictor) -> None:
    grown = predictor.add_items(["new"], features(np.array([2])))
    best = grown.predict([request(["new"], count=8)])[0]
    assert [cluster_of(item) for item in best["items"] if item != "new"].count(2) >= 6
    assert set(best["because"]) == {0}


def test_items_known_before_keep_their_relative_scores(predictor: NextItemPredictor) -> None:
    grown = predictor.add_items(["new-1", "new-2"], features(np.array([1, 2])))
    item = np.array([[1, 12, 13], [25, 26, 0]])
    batch = make_batch(item, np.ones_like(item), np.zeros(item.shape), np.full(item.shape, np.nan), np.array([3, 2]))
    one, other = (model.scorer.model.rank(batch).generated for model in (predictor, grown))
    assert other.shape[1] == one.shape[1] + 2
    known = other[:, : one.shape[1]]
    torch.testing.assert_close(known / known.sum(dim=1, keepdim=True), one)


def test_one_event_is_enough_to_beat_popularity(predictor: NextItemPredictor) -> None:
    hits = popular_hits = 0
    popular = set(predictor.predict([request([])])[0]["items"])
    for first in range(CLUSTERS * PER_CLUSTER):
        best = predictor.predict([request([f"item-{first}"])])[0]["items"]
        hits += sum(cluster_of(item) == first // PER_CLUSTER for item in best)
        popular_hits += sum(cluster_of(item) == first // PER_CLUSTER for item in popular)
    assert hits > 2 * popular_hits


def test_ids_and_features_that_do_not_fit_are_refused(predictor: NextItemPredictor) -> None:
    one = features(np.array([0]))
    with pytest.raises(ValueError, match="known already: item-3"):
        predictor.add_items(["item-3"], one)
    with pytest.raises(ValueError, match="1 items where there are 2 ids"):
        predictor.add_items(["new-1", "new-2"], one)


def test_a_model_of_ids_alone_refuses_new_items(artifact: Path) -> None:
    with pytest.raises(ValueError, match="by id alone"):
        NextItemPredictor.load(artifact).add_items(["new"], features(np.array([0])))
