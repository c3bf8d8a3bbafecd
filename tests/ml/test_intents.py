"""Intents of texts: splits, scripts, n-grams, the line between in and out of scope, tuning, and the whole task."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.data.labelled_texts import LabelledTexts, language_of
from ml.data.text_grams import gram_counts, inverse_frequency, weighted
from ml.evaluation.scope import operating_curve, threshold_keeping
from ml.nn.text_encoder import encoder_name, pretrained_encoder
from ml.serving.intents import IntentPredictor
from ml.serving.predictor import load_predictor
from ml.tasks.intents_config import IntentsConfig
from ml.tasks.registry import TASKS
from ml.training.intent_tuning import OUT_OF_SCOPE, Tuning, tune_on_intents
from tests.ml.cross_encoders import save_tiny_model

WANTS = {
    "card_lost": ["i lost my {}", "my {} was stolen", "someone took my {}", "i can not find my {}"],
    "card_late": ["where is my new {}", "my {} has not arrived", "when will my {} come", "the {} is still on its way"],
    "rates": ["what rate do you use for my {}", "how is the exchange rate of my {} made", "exchange {} to euros"],
}
THINGS = ["card", "bank card", "debit card", "credit card", "visa card", "gold card", "travel card", "plastic"]
CHINESE = {"card_lost": "我的{}丢了", "card_late": "我的{}还没有到", "rates": "{}的汇率是多少"}
CHINESE_THINGS = ["卡", "银行卡", "信用卡", "新卡", "借记卡", "金卡", "旅行卡", "旧卡"]
ELSEWHERE = ["will it rain in paris", "play some jazz music", "who won the match last night", "tell me a joke"]


def bank_texts() -> LabelledTexts:
    pairs = [
        (phrase.format(thing), name) for name, all_of in WANTS.items() for phrase, thing in product(all_of, THINGS)
    ]
    pairs += [(phrase.format(thing), name) for name, phrase in CHINESE.items() for thing in CHINESE_THINGS]
    return LabelledTexts([text for text, _ in pairs], [name for _, name in pairs])


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("intents") / "artifact"
    settings = {"least_steps": 4, "epochs": 1, "refit": False, "threads": 1}
    report = TASKS["intents"].fit(bank_texts(), settings, out, progress=lambda _: None)
    assert report.score > report.baselines["majority"] + 0.3
    assert set(report.baselines) == {"nearest_example", "majority"}
    assert set(report.validation) == {"accuracy", "grams", "tuned", "tuned_encoder", "frozen", "frozen_encoder"}
    assert report.score == report.validation[report.split["encoder"]]
    assert report.score == max(report.validation["tuned"], report.validation["frozen"])
    return out


@pytest.fixture(scope="module")
def predictor(artifact: Path) -> IntentPredictor:
    loaded = load_predictor(artifact)
    assert isinstance(loaded, IntentPredictor)
    return loaded


def test_a_text_gets_its_intent_with_a_probability_and_the_next_best(predictor: IntentPredictor) -> None:
    lost, late = predictor.predict([{"text": "i lost my shiny card"}, {"text": "my silver card has not arrived"}])
    assert (lost["intent"], late["intent"]) == ("card_lost", "card_late")
    assert 0.5 < lost["probability"] <= 1.0
    assert lost["scores"][0]["intent"] == "card_lost"
    assert sum(score["probability"] for score in lost["scores"]) == pytest.approx(1.0, abs=1e-6)
    assert not lost["out_of_scope"]


def test_what_nobody_trained_for_is_out_of_scope(predictor: IntentPredictor) -> None:
    answers = predictor.predict([{"text": text} for text in ELSEWHERE])
    assert all(answer["out_of_scope"] for answer in answers)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_a_blank_text_is_out_of_scope(predictor: IntentPredictor, text: str) -> None:
    assert predictor.predict([{"text": text}])[0]["out_of_scope"]


def test_chinese_never_passes_the_english_encoder(predictor: IntentPredictor) -> None:
    (answer,) = predictor.predict([{"text": "我的信用卡丢了"}])
    assert (answer["intent"], answer["language"]) == ("card_lost", "zh")
    evidence = predictor.model.evidence(["我的信用卡丢了"], np.array([False]))
    assert not evidence.encoders.any()
    assert not evidence.nearness.any()


def test_company_does_not_change_an_answer(predictor: IntentPredictor) -> None:
    texts = ["my card was stolen", "我的新卡还没有到", "😀", "x" * 10_000, "how is the rate made", "half a pair \ud800"]
    together = predictor.predict([{"text": text} for text in texts])
    alone = [predictor.predict([{"text": text}])[0] for text in texts]
    assert [answer["intent"] for answer in together] == [answer["intent"] for answer in alone]
    np.testing.assert_allclose([a["scope"] for a in together], [a["scope"] for a in alone], atol=1e-3)


def test_evaluating_counts_unknown_labels_as_wrong(artifact: Path) -> None:
    texts = LabelledTexts(["i lost my card", "i lost my card", *ELSEWHERE], ["card_lost", "new", *[None] * 4])
    scores = TASKS["intents"].evaluate(artifact, texts, since=0.0, until=1.0)
    assert scores["accuracy"] == 0.5
    assert scores["out_of_scope_recall"] == 1.0


def test_nothing_in_the_artifact_is_pickled(artifact: Path) -> None:
    assert {file.suffix for file in artifact.rglob("*") if file.is_file()} <= {".json", ".safetensors", ".txt"}


def test_texts_out_of_scope_teach_the_line_and_untuned_encoders_are_not_copied(tmp_path: Path) -> None:
    known = bank_texts()
    outside = [f"{text} {word}" for text in ELSEWHERE for word in ("please", "now", "today", "quickly", "then", "here")]
    texts = LabelledTexts(known.texts + outside * 5, [*known.labels, *[None] * len(outside) * 5])
    TASKS["intents"].fit(texts, {"tune": False, "refit": False}, tmp_path / "a", progress=lambda _: None)
    assert not (tmp_path / "a" / "encoder_0").exists()
    predictor = IntentPredictor.load(tmp_path / "a")
    assert predictor.routes["encoder"].curve[-1]["out_of_scope_recall"] > 0.5
    assert predictor.predict([{"text": "will it rain in rome"}])[0]["out_of_scope"]


def test_an_encoder_that_tuning_has_spoilt_is_not_kept(tmp_path: Path) -> None:
    spoilt = {"least_steps": 10, "epochs": 1, "learning_rate": 0.5, "refit": True, "threads": 1}
    report = TASKS["intents"].fit(bank_texts(), spoilt, tmp_path / "a", progress=lambda _: None)
    assert report.split["encoder"] == "frozen"
    assert report.score == report.validation["frozen"]
    # N-grams may hide it, the encoders by themselves tell.
    assert report.validation["tuned_encoder"] < report.validation["frozen_encoder"]
    # Nothing of it is stored, and what answers is the encoder as it was pretrained.
    assert not (tmp_path / "a" / "encoder_0").exists()
    stored = IntentPredictor.load(tmp_path / "a")
    assert stored.model.members[0].encoder.identity == pretrained_encoder(encoder_name()).identity
    assert stored.predict([{"text": "i lost my shiny card"}])[0]["intent"] == "card_lost"


@pytest.mark.parametrize(
    ("texts", "labels", "words"),
    [
        (["a", "b"], ["x", "x"], "at least two"),
        (["a", "b", "c"], ["x", "y", "y"], "held out"),
    ],
)
def test_too_little_to_learn_from_names_the_cure(
    texts: list[str], labels: list[str | None], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        TASKS["intents"].fit(LabelledTexts(texts, labels), {}, tmp_path, progress=lambda _: None)


def test_unusable_settings_are_named() -> None:
    with pytest.raises(ValueError, match="held_out must be between 0 and 1; members must be a whole number"):
        IntentsConfig.from_dict({"held_out": 2, "members": 0})
    with pytest.raises(ValueError, match="unknown settings colour"):
        IntentsConfig.from_dict({"colour": 1})


def test_each_intent_holds_out_its_share_and_keeps_one() -> None:
    texts = LabelledTexts([str(n) for n in range(31)], ["a"] * 20 + ["b"] * 10 + ["c"])
    train, held = texts.split(0.2, seed=3)
    assert sorted([*train, *held]) == list(range(31))
    assert [int((texts.codes()[held] == code).sum()) for code in range(3)] == [4, 2, 0]
    marked = LabelledTexts(["a", "b"], ["x", None], held_out=[False, True])
    assert [rows.tolist() for rows in marked.split(0.5, seed=0)] == [[0], [1]]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("where is my card", "en"),
        ("我的卡在哪里", "zh"),
        ("iPhone 15 什么时候到货", "zh"),
        ("カードが届きません", "ja"),
        ("카드를 잃어버렸어요", "ko"),
        ("где моя карта", "other"),
        ("12345 !? 😀", "other"),
        ("", "other"),
    ],
)
def test_a_script_tells_the_language(text: str, language: str) -> None:
    assert language_of(text) == language


@given(st.text())
def test_any_text_has_a_language_and_a_row(text: str) -> None:
    assert language_of(text) in {"en", "zh", "ja", "ko", "other"}
    counts = gram_counts([text, "a card"])
    rows = weighted(counts, inverse_frequency(counts))
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    assert lengths[1] == pytest.approx(1.0, abs=1e-5)
    assert lengths[0] == pytest.approx(1.0 if text.split() else 0.0, abs=1e-5)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=50), st.floats(0.01, 1.0))
def test_the_threshold_keeps_its_share_and_none_higher_does(scores: list[float], share: float) -> None:
    array = np.array(scores)
    threshold = threshold_keeping(array, share)
    assert (array >= threshold).mean() >= share - 1e-9
    assert (array > threshold).sum() < max(np.ceil(share * len(array) - 1e-9), 1)


def test_the_curve_counts_what_is_kept_right_and_refused() -> None:
    scores, right = np.arange(100.0), np.arange(100) % 2 == 0
    point = next(p for p in operating_curve(scores, right, np.array([1.0, 50.0])) if p["kept"] == 0.95)
    assert point == {"kept": 0.95, "threshold": 5.0, "in_scope_accuracy": 0.47, "out_of_scope_recall": 0.5}


@pytest.mark.parametrize("tune", [True, False])
def test_intents_may_have_an_encoder_of_their_own(tune: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENT_ENCODER", str(save_tiny_model(tmp_path / "tiny")))
    settings = {"tune": tune, "least_steps": 4, "epochs": 1, "refit": False, "threads": 1}
    report = TASKS["intents"].fit(bank_texts(), settings, tmp_path / "a", progress=lambda _: None)
    predictor = IntentPredictor.load(tmp_path / "a")
    assert predictor.model.members[0].encoder.dimension == predictor.model.neighbors.shape[1] == 32
    assert predictor.predict([{"text": "i lost my shiny card"}])[0]["intent"] == "card_lost"
    assert report.split["encoder"] == ("tuned" if tune else "frozen")
    monkeypatch.delenv("INTENT_ENCODER")
    if tune:
        # A tuned one lies in the artifact, another is only named there.
        assert IntentPredictor.load(tmp_path / "a").model.members[0].encoder.dimension == 32
    else:
        with pytest.raises(ValueError, match="another INTENT_ENCODER"):
            IntentPredictor.load(tmp_path / "a")


def test_tuning_draws_the_texts_of_an_intent_together() -> None:
    encoder = pretrained_encoder(encoder_name())
    texts = ["my card was stolen", "i can not find my card", "where is my new card", "my card has not arrived"]
    codes = np.array([0, 0, 1, 1])
    elsewhere = ["play some jazz music"]
    tuned = tune_on_intents(
        encoder, texts + elsewhere, np.append(codes, OUT_OF_SCOPE), ["lost", "late"], Tuning(steps=12), seed=1
    )

    def lead(vectors: np.ndarray) -> float:
        return float(
            vectors[0] @ vectors[1] + vectors[2] @ vectors[3] - vectors[0] @ vectors[2] - vectors[1] @ vectors[3]
        )

    assert lead(tuned.encode(texts)) > lead(encoder.encode(texts)) + 0.3
    assert tuned.identity != encoder.identity
