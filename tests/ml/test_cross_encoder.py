"""A cross-encoder: loaded where the operator placed one, trained on lists, weighed beside the search's own order."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.data.passage_lists import PassageLists
from ml.nn.cross_encoder import CrossEncoder, starting_cross_encoder
from ml.serving.cross_encoder import CrossEncoderPredictor, Reading
from ml.serving.cross_encoder_requests import ASKED_READ, asked_beside, sample_cross_encoder_requests
from ml.serving.predictor import load_predictor
from ml.tasks.cross_encoder import METRIC, best_reading, reciprocal_ranks
from ml.tasks.registry import TASKS
from tests.ml.cross_encoders import made_lists, save_tiny_model

QUICK = {"epochs": 4, "learning_rate": 2e-3, "head_rate": 5e-3, "passages": 6, "tokens": 32}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("operator") / "tiny")


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cross") / "artifact"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSS_ENCODER", str(folder))
        TASKS["cross_encoder"].fit(made_lists(400), QUICK, out, progress=lambda _: None)
    return out


def test_training_beats_the_order_of_the_search(trained: Path) -> None:
    scores = TASKS["cross_encoder"].evaluate(trained, made_lists(400), since=1_360.0, until=float("inf"))
    assert scores["cases"] == 40
    # Six passages in random order: the right one's reciprocal rank is .41 on average.
    assert scores[METRIC] > 0.9


def test_an_answer_reads_the_first_passages_and_says_how_sure_it_is(trained: Path) -> None:
    predictor = load_predictor(trained)
    assert isinstance(predictor, CrossEncoderPredictor)
    requests = sample_cross_encoder_requests(made_lists(20, seed=5), 3)
    longer = {"asked": requests[0]["asked"] * 3, "passages": requests[0]["passages"] * 3}
    answers = predictor.predict([*requests, longer, {"asked": [], "passages": []}])
    assert [len(answer["scores"]) for answer in answers] == [6, 6, 6, 6, 0]
    assert answers[3]["scores"] == pytest.approx(answers[0]["scores"], abs=1e-2)
    for request, answer in zip(requests, answers, strict=False):
        best = int(np.argmax(answer["scores"]))
        assert "takes" in request["passages"][best]
        assert answer["probabilities"][best] > 0.5 > max(np.delete(answer["probabilities"], best))


def test_neither_order_nor_company_nor_broken_text_changes_a_score(trained: Path) -> None:
    model = CrossEncoder.load(str(trained / "model"))
    asked = ["how about the refund", "", "\ud800", "parcel " * 100]
    passages = ["refund takes days", "", "see \udfff", "other"]
    together = model.scores(asked, passages, tokens_read=32)
    alone = [model.scores([one], [other], tokens_read=32)[0] for one, other in zip(asked, passages, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    reversed_scores = model.scores(asked[::-1], passages[::-1], tokens_read=32)
    np.testing.assert_allclose(reversed_scores[::-1], together, atol=1e-5)


def test_weights_of_half_the_size_keep_the_order(trained: Path) -> None:
    model = CrossEncoder.load(str(trained / "model"))
    lists = made_lists(5, seed=9)
    asked, passages = list(chain(*lists.asked)), list(chain(*lists.passages))
    whole = model.scores(asked, passages, tokens_read=32)
    answering = model.answering()
    np.testing.assert_allclose(answering.scores(asked, passages, tokens_read=32), whole, atol=0.1)
    # Embeddings stay as they are; what was halved counts as well.
    words = model.model.get_input_embeddings().weight  # type: ignore[operator, union-attr]
    assert words.nbytes < answering.nbytes <= model.nbytes


def test_a_model_that_knows_nothing_leaves_the_search_its_order(folder: Path, tmp_path: Path) -> None:
    """Passages are in the right order already and the model is not trained: validation trusts the places."""
    lists = made_lists(200, seed=2)
    in_order = PassageLists(
        **{
            **vars(lists),
            "right": [[True, *[False] * 5]] * 200,
            "passages": [["see"] * 6] * 200,
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSS_ENCODER", str(folder))
        report = TASKS["cross_encoder"].fit(in_order, {**QUICK, "epochs": 0}, tmp_path / "a", progress=lambda _: None)
    assert report.score == report.baselines["sentences"] == 1.0
    assert report.mixture["place"] > 0
    # The gate asks for more than the baseline, so such a model is refused.
    assert not report.score > report.baselines["sentences"]


def test_of_equally_good_weights_the_greatest_is_taken() -> None:
    lists = PassageLists([["q"] * 2], [["a", "b"]], [[True, False]], [[0, 1]], [2], ["g"], [1.0])
    reading = best_reading(lists, np.array([0]), [np.array([2.0, 1.0])], Reading(2, 32))
    assert reading.place_weight == 4.0


def test_ranks_count_what_stands_behind_the_passages_that_are_read() -> None:
    lists = PassageLists([["q"] * 3], [["a", "b", "c"]], [[False, False, True]], [[0, 1, 2]], [3], ["g"], [1.0])
    ranks = reciprocal_ranks(lists, np.array([0]), [np.array([1.0, 2.0])], Reading(2, 32))
    assert ranks.tolist() == [1 / 3]
    missed = PassageLists(**{**vars(lists), "found": [2]})
    assert not missed.is_answered(0)


def test_lists_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    lists = made_lists(7)
    lists.write(tmp_path / "lists")
    assert PassageLists.open(tmp_path / "lists") == lists
    assert lists.between(1_002.0, 1_005.0).tolist() == [2, 3, 4]
    train, chooses, judges = made_lists(100).split(0.2)
    assert (len(train), chooses.tolist(), judges.tolist()) == (80, [*range(80, 90)], [*range(90, 100)])


def test_two_labels_are_read_as_the_odds_of_the_second(tmp_path: Path) -> None:
    model = CrossEncoder.load(str(save_tiny_model(tmp_path / "two", labels=2)))
    tokens = model.tokenizer(["how"], ["refund"], return_tensors="pt")
    with torch.inference_mode():
        logits = model.model(**tokens).logits[0]
    found = model.scores(["how"], ["refund"], tokens_read=32)
    assert found[0] == pytest.approx(float(logits[1] - logits[0]), abs=1e-6)


def test_what_is_no_cross_encoder_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSS_ENCODER", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="nowhere' is no folder; name a local folder"):
        starting_cross_encoder()
    with pytest.raises(ValueError, match="has one label, or two; this model has 3"):
        CrossEncoder.load(str(save_tiny_model(tmp_path / "three", labels=3)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="can not be read"):
        CrossEncoder.load(str(tmp_path / "empty"))
    # An encoder without a head that was trained would order passages by chance.
    whole = CrossEncoder.load(str(save_tiny_model(tmp_path / "whole")))
    whole.model.base_model.save_pretrained(tmp_path / "headless")  # type: ignore[operator, union-attr]
    whole.tokenizer.save_pretrained(tmp_path / "headless")
    with pytest.raises(ValueError, match="lacks classifier"):
        CrossEncoder.load(str(tmp_path / "headless"))


def test_without_one_training_starts_from_the_text_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CROSS_ENCODER", raising=False)
    scores = starting_cross_encoder().scores(["Where is my parcel?"], ["It is on its way."], tokens_read=32)
    assert scores.shape == (1,)


def test_too_few_questions_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="10 would choose and 10 judge; training needs 20 of each: judge more drafts"):
        TASKS["cross_encoder"].fit(made_lists(100), {}, tmp_path / "a", progress=lambda _: None)


def test_of_a_long_question_the_nearest_sentences_are_read() -> None:
    sentences = ["Hello there.", "My parcel is late.", "I want a refund."]
    asked = np.eye(3, dtype=np.float32)
    nearest = np.array([0.0, 0.6, 0.8], dtype=np.float32)
    assert asked_beside(sentences, asked, nearest).endswith("My parcel is late. I want a refund.")
    long = ["a" * 200, "b" * 200, "c" * 500]
    assert asked_beside(long, asked, nearest) == "c" * ASKED_READ
