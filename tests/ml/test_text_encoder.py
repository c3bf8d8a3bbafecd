"""The text encoder that is installed with the project, its cache and its tuning."""

import sqlite3
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ml.data.text_cache import TextCache
from ml.nn.packed_bert import PackedBert, can_pack
from ml.nn.text_encoder import (
    HalvedEncoder,
    PackedEncoder,
    TextEncoder,
    answering_encoder,
    encoder_name,
    pretrained_encoder,
)
from ml.training.text_tuning import tune_text_encoder

TENTS = ["tent for two persons", "lightweight two-person tent", "family tent"]
TEAS = ["green tea, loose leaves", "herbal tea bags", "black tea from Assam"]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return pretrained_encoder(encoder_name())


def test_texts_of_like_meaning_lie_close_together(encoder: TextEncoder) -> None:
    tents, teas = encoder.encode(TENTS), encoder.encode(TEAS)
    assert tents.shape == (3, encoder.dimension)
    np.testing.assert_allclose(np.linalg.norm(tents, axis=1), 1.0, atol=1e-5)
    within = [tents[0] @ tents[1], tents[1] @ tents[2], teas[0] @ teas[1], teas[1] @ teas[2]]
    assert min(within) > (tents @ teas.T).max()


def test_neither_order_nor_company_changes_a_vector(encoder: TextEncoder) -> None:
    texts = [*TENTS, "tea " * 300, "", "  ", *TEAS]
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert not together[4:6].any()
    assert together[3].any()


def test_pooling_is_the_mean_over_the_tokens_of_a_text(encoder: TextEncoder) -> None:
    tokens = encoder.tokenizer(TENTS[0], return_tensors="pt")
    with torch.inference_mode():
        mean = encoder.model(**tokens).last_hidden_state[0].mean(dim=0)
    np.testing.assert_allclose(encoder.encode(TENTS[:1])[0], mean / mean.norm(), atol=1e-5)


def test_half_the_bytes_give_nearly_the_same_vectors(encoder: TextEncoder) -> None:
    halved = HalvedEncoder(encoder)
    texts = [*TENTS, *TEAS, "tea " * 300]

    whole, half = encoder.encode(texts), halved.encode(texts)

    assert (whole * half).sum(axis=1).min() > 0.999
    assert not any(isinstance(layer, torch.nn.Linear) for layer in halved.model.modules())
    assert halved.identity == encoder.identity
    # The original is as it was, and what is no linear layer is there once.
    np.testing.assert_array_equal(encoder.encode(texts), whole)
    words = halved.model.embeddings.word_embeddings.weight  # type: ignore[union-attr]
    assert words is encoder.model.embeddings.word_embeddings.weight  # type: ignore[union-attr]


def test_texts_that_are_packed_have_nearly_the_same_vectors(encoder: TextEncoder) -> None:
    packed = PackedEncoder(encoder)
    texts = [*TENTS, "", *TEAS, "tea " * 300, "茶", " "] * 3

    whole, ours = encoder.encode(texts), packed.encode(texts)

    written = [bool(text.strip()) for text in texts]
    assert (whole * ours).sum(axis=1)[written].min() > 0.999
    assert not ours[np.invert(written)].any()
    np.testing.assert_allclose(np.linalg.norm(ours[written], axis=1), 1.0, atol=1e-5)
    assert packed.identity == encoder.identity


def test_company_in_a_pack_changes_a_vector_by_rounding_alone(encoder: TextEncoder) -> None:
    packed = PackedEncoder(encoder)
    texts = [*TENTS, "tea " * 300, *TEAS]

    together = packed.encode(texts)
    alone = np.concatenate([packed.encode([text]) for text in texts])

    np.testing.assert_allclose(together, alone, atol=2e-3)


def test_packing_in_float32_gives_the_same_vectors(encoder: TextEncoder) -> None:
    tokens = [encoder.tokenizer(text)["input_ids"] for text in [*TENTS, *TEAS]]

    with torch.inference_mode():
        means = PackedBert(encoder.model, torch.float32).means(tokens)

    np.testing.assert_allclose(
        torch.nn.functional.normalize(means, dim=1).numpy(), encoder.encode([*TENTS, *TEAS]), atol=1e-5
    )


def test_a_model_of_another_kind_is_not_packed(encoder: TextEncoder) -> None:
    assert can_pack(encoder.model)
    assert isinstance(answering_encoder(encoder_name()), PackedEncoder)
    for change in ({"hidden_act": "relu"}, {"model_type": "distilbert"}, {"is_decoder": True}):
        other = SimpleNamespace(config=SimpleNamespace(**(vars(encoder.model.config) | change)))
        assert not can_pack(other)


def test_an_encoder_that_is_not_there_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can not be read; name a folder"):
        TextEncoder.load(str(tmp_path))


def test_weights_in_pickle_are_refused(encoder: TextEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    encoder.save(folder)
    torch.save(encoder.model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="can not be read"):
        TextEncoder.load(str(folder))


class Counting:
    """An encoder that says what it was asked."""

    def __init__(self, identity: str = "one") -> None:
        self.identity = identity
        self.dimension = 2
        self.asked: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text), text.count("a")] for text in texts], dtype=np.float32)


def test_only_new_texts_are_encoded(tmp_path: Path) -> None:
    cache, encoder = TextCache(tmp_path / "texts"), Counting()
    assert cache.encode(["a", "bb", "a"], encoder).tolist() == [[1, 1], [2, 0], [1, 1]]
    assert sorted(encoder.asked) == ["a", "bb"]
    assert TextCache(cache.path).encode(["bb", "aa"], encoder).tolist() == [[2, 0], [2, 2]]
    assert encoder.asked[2:] == ["aa"]
    # Another encoder's vectors are others.
    other = Counting("another")
    cache.encode(["a"], other)
    assert other.asked == ["a"]


def test_the_oldest_texts_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.data.text_cache.MOST_TEXTS", 10)
    cache = TextCache(tmp_path / "texts")
    for number in range(30):
        cache.encode([f"text {number}"], Counting())
    with sqlite3.connect(cache.path) as database:
        assert database.execute("SELECT count(*) FROM vector").fetchone() == (10,)


def test_a_broken_cache_is_made_anew(tmp_path: Path) -> None:
    cache = TextCache(tmp_path / "texts")
    cache.path.write_bytes(b"no database" * 500)
    assert cache.encode(["a"], Counting()).tolist() == [[1, 1]]


def test_tuning_brings_together_what_follows_each_other(encoder: TextEncoder) -> None:
    """Tents are followed by teas here, which no pretrained encoder would guess."""
    texts = [*TENTS, *TEAS, "garden hose", "winter coat", "wooden table", ""]
    first, second = np.array([0, 1, 2, 6, 7, 9]), np.array([3, 4, 5, 8, 6, 0])
    before = encoder.encode(texts)
    tuned = tune_text_encoder(encoder, texts, first, second, steps=6, seed=0)
    after = tuned.encode(texts)
    assert np.mean([after[i] @ after[i + 3] for i in range(3)]) > np.mean([before[i] @ before[i + 3] for i in range(3)])
    assert tuned.identity != encoder.identity
    # The shared one stays as it was.
    np.testing.assert_array_equal(encoder.encode(texts), before)
    again = tune_text_encoder(encoder, texts, first, second, steps=6, seed=0)
    assert again.identity == tuned.identity


def test_tuning_needs_pairs_with_texts(encoder: TextEncoder) -> None:
    with pytest.raises(ValueError, match="use text_encoder frozen"):
        tune_text_encoder(encoder, ["a tent", ""], np.array([0, 0]), np.array([1, 0]), steps=1, seed=0)
