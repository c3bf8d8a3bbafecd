"""From the words of a catalogue to a model, and to items that it has never seen."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ml.data.columns import EventColumns, write_columns
from ml.data.item_features import write_item_features
from ml.nn.text_encoder import TextEncoder, encoder_name, pretrained_encoder
from ml.serving.item_descriptions import describe_items, knows_content
from ml.serving.next_item import NextItemPredictor
from ml.tasks.registry import TASKS
from ml.training.progress import Progress
from tests.ml.logs import TINY
from tests.ml.test_cold_start import request

KINDS = {
    "tent": ["tent", "sleeping bag", "camping stove", "hiking boots", "rucksack", "head torch"],
    "tea": ["green tea", "herbal tea", "teapot", "black tea", "honey", "biscuits"],
}
ITEMS = [f"{quality} {thing}" for things in KINDS.values() for thing in things for quality in ("cheap", "fine")]
SETTINGS = {**TINY, "epochs": 10, "inputs": ["text"], "copying": False, "id_dropout": 0.3}
TUNED = {**SETTINGS, "text_encoder": "fine_tuned", "text_steps": 2, "epochs": 1}


def silent(progress: Progress) -> None:
    pass


@pytest.fixture(scope="module")
def shop_log(tmp_path_factory: pytest.TempPathFactory) -> EventColumns:
    """Subjects stay with tents or with teas; only the words say which item is which."""
    path = tmp_path_factory.mktemp("shop") / "columns"
    generator = np.random.default_rng(0)
    item = (generator.integers(2, size=(100, 1)) * 12 + generator.integers(12, size=(100, 8))).ravel()
    write_columns(
        path,
        subject=np.repeat(np.arange(100), 8),
        item=item + 1,
        type=np.zeros(800),
        time=generator.uniform(0, 1e6, 800),
        value=np.full(800, np.nan),
        items=[f"i{number}" for number in range(24)],
        types=["view"],
    )
    write_item_features(path, items=[f"i{number}" for number in range(24)], texts=ITEMS)
    return EventColumns.open(path)


@pytest.fixture(scope="module")
def artifact(shop_log: EventColumns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("text") / "model"
    TASKS["next_item"].fit(shop_log, SETTINGS, out, progress=silent)
    return out


@pytest.fixture
def another_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    encoder = TextEncoder.load(encoder_name())
    next(encoder.model.parameters()).data += 0.01
    encoder.save(tmp_path / "another")
    monkeypatch.setenv("TEXT_ENCODER", str(tmp_path / "another"))
    yield tmp_path / "another"
    pretrained_encoder.cache_clear()


def test_a_new_item_is_ranked_by_its_words(artifact: Path, tmp_path: Path) -> None:
    assert knows_content(artifact)
    new = describe_items(
        artifact, attributes={}, texts=["family tent with porch", "jasmine tea"], cache=tmp_path / "texts"
    )
    grown = NextItemPredictor.load(artifact).add_items(["new-tent", "new-tea"], new)
    for history, wanted, other in ((["i0", "i4"], "new-tent", "new-tea"), (["i12", "i16"], "new-tea", "new-tent")):
        ranking = grown.predict([request(history, count=26)])[0]["items"]
        assert ranking.index(wanted) < 14 <= ranking.index(other) + 2


def test_the_words_themselves_are_not_in_the_artifact(artifact: Path) -> None:
    stored = b"".join(path.read_bytes() for path in artifact.iterdir() if path.is_file())
    assert b"sleeping bag" not in stored
    assert not (artifact / "text_encoder").exists()


def test_a_model_is_not_told_of_items_through_another_encoder(
    artifact: Path, another_encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="another text encoder than TEXT_ENCODER names"):
        describe_items(artifact, attributes={}, texts=["a tent"], cache=tmp_path / "texts")


def test_a_tuned_encoder_travels_with_the_model(
    shop_log: EventColumns, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, stages = tmp_path / "model", []
    TASKS["next_item"].fit(shop_log, TUNED, out, progress=lambda progress: stages.append(progress.stage))
    assert "text" in stages
    tuned = TextEncoder.load(str(out / "text_encoder"))
    assert json.loads((out / "text_encoder.json").read_text())["identity"] == tuned.identity
    assert tuned.identity != pretrained_encoder(encoder_name()).identity
    # It is needed no more than its own folder.
    monkeypatch.setenv("TEXT_ENCODER", str(tmp_path / "nowhere"))
    described = describe_items(out, attributes={}, texts=["a tent"], cache=tmp_path / "texts")
    assert described.text is not None
    np.testing.assert_allclose(described.text[0], tuned.encode(["a tent"])[0], atol=1e-3)

    warm = tmp_path / "warm"
    TASKS["next_item"].fit(shop_log, TUNED, warm, progress=silent, initial=out)
    assert json.loads((warm / "text_encoder.json").read_text())["identity"] == tuned.identity
    with pytest.raises(ValueError, match="text_encoder is frozen here and fine_tuned in"):
        TASKS["next_item"].fit(shop_log, SETTINGS, tmp_path / "frozen", progress=silent, initial=out)


def test_a_run_that_was_stopped_goes_on_with_the_encoder_it_had_tuned(shop_log: EventColumns, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.stage == "training":
            raise Stopped

    with pytest.raises(Stopped):
        TASKS["next_item"].fit(shop_log, TUNED, tmp_path / "model", progress=stop)
    weights = tmp_path / "model" / "text_encoder" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    TASKS["next_item"].fit(shop_log, TUNED, tmp_path / "model", progress=silent)
    assert weights.stat().st_mtime_ns == written


def test_a_log_without_texts_is_refused(log: EventColumns, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no item text"):
        TASKS["next_item"].fit(log, {**TINY, "inputs": ["text"]}, tmp_path, progress=silent)


@pytest.mark.parametrize(("name", "value"), [("text_encoder", "thawed"), ("text_steps", 0)])
def test_a_bad_setting_is_named(log: EventColumns, tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        TASKS["next_item"].fit(log, {**TINY, name: value}, tmp_path, progress=silent)
