import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ml.serving.pool import ArtifactTooLargeError, PredictorPool
from ml.serving.predictor import load_predictor


@pytest.fixture(scope="module")
def artifacts(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("artifacts")
    return [Path(shutil.copytree(artifact, folder / name)) for name in ("one", "two", "three")]


@pytest.fixture(scope="module")
def size(artifact: Path) -> int:
    return load_predictor(artifact).nbytes


def test_a_predictor_is_loaded_once(artifacts: list[Path], size: int) -> None:
    pool = PredictorPool(3 * size)
    assert pool.get(artifacts[0]) is pool.get(artifacts[0])
    assert pool.nbytes == size


def test_the_least_recently_used_predictor_makes_room(artifacts: list[Path], size: int) -> None:
    one, two, three = artifacts
    pool = PredictorPool(2 * size)
    first, second = pool.get(one), pool.get(two)
    pool.get(one)
    pool.get(three)
    assert pool.nbytes == 2 * size
    assert pool.get(one) is first
    assert pool.get(two) is not second


def test_an_artifact_above_the_budget_is_refused_and_evicts_nobody(artifacts: list[Path], size: int) -> None:
    pool = PredictorPool(size - 1)
    with pytest.raises(ArtifactTooLargeError, match="raise the budget"):
        pool.get(artifacts[0])
    assert pool.nbytes == 0


def test_another_predictor_takes_the_place_of_a_held_one(artifacts: list[Path], size: int) -> None:
    one, two, three = artifacts
    pool = PredictorPool(2 * size)
    assert pool.held(one) is None
    pool.get(one)
    other = load_predictor(one)
    pool.replace(one, other)
    assert pool.held(one) is pool.get(one) is other
    # Nothing comes in that nobody asked for, or that is too large.
    pool.replace(two, other)
    assert pool.held(two) is None
    pool.get(three)
    pool.budget_bytes = size - 1
    with pytest.raises(ArtifactTooLargeError):
        pool.replace(one, load_predictor(one))
    assert pool.held(one) is other


def test_a_missing_artifact_can_be_asked_for_again_once_it_is_there(artifacts: list[Path], tmp_path: Path) -> None:
    pool = PredictorPool(2**30)
    with pytest.raises(FileNotFoundError):
        pool.get(tmp_path / "late")
    shutil.copytree(artifacts[0], tmp_path / "late")
    assert pool.get(tmp_path / "late").task == "next_item"


def test_threads_share_one_loading_and_the_budget_holds(artifacts: list[Path], size: int) -> None:
    pool = PredictorPool(2 * size)
    with ThreadPoolExecutor(8) as threads:
        same = list(threads.map(pool.get, [artifacts[0]] * 16))
        list(threads.map(pool.get, artifacts * 6))
    assert len({id(predictor) for predictor in same}) == 1
    assert pool.nbytes <= 2 * size
