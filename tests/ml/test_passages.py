"""Documents are found for long questions by words and meaning, and by each sentence."""

import math

import numpy as np
import pytest

from ml.serving.passages import BM25, Found, PassageSearch, chunks, reciprocal_ranks, sentences

TEXTS = ["the card has a fee", "close the account, the old account", "a fee for a late payment of the card", ""]


def formula(texts: list[list[str]], query: list[str], k1: float = 1.2, b: float = 0.75) -> list[float]:
    mean = sum(map(len, texts)) / len(texts)
    scores = []
    for text in texts:
        score = 0.0
        for word in query:
            having = sum(word in other for other in texts)
            inverse = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            count = text.count(word)
            score += inverse * count * (k1 + 1) / (count + k1 * (1 - b + b * len(text) / mean))
        scores.append(score)
    return scores


def test_bm25_is_the_formula() -> None:
    plain = [text.replace(",", "").split() for text in TEXTS]
    expected = formula(plain, ["fee", "card", "fee", "unknown"])
    assert BM25(TEXTS).scores("Fee card FEE unknown") == pytest.approx(expected)


def test_bm25_of_nothing_known_is_zero() -> None:
    assert BM25(TEXTS).scores("???").tolist() == [0.0] * 4
    assert BM25(["", ""]).scores("card").tolist() == [0.0, 0.0]


def test_chunks_cover_all_words_with_the_title_before_each() -> None:
    assert chunks("T", "a b c d e", size=2) == ["T\na b", "T\nc d", "T\ne"]
    assert chunks("T", "") == ["T\n"]


def test_sentences_of_english_lines_and_chinese() -> None:
    assert sentences("Close my account now. Ok!\n- What does it cost?") == [
        "Close my account now.",
        "- What does it cost?",
    ]
    assert sentences("") == []


def test_reciprocal_ranks_start_at_one() -> None:
    assert reciprocal_ranks(np.array([0.1, 0.9, 0.5]), 60.0) == pytest.approx([1 / 63, 1 / 61, 1 / 62])


def test_a_need_named_in_one_sentence_is_found_by_sentences_alone() -> None:
    whole = np.array([3.0, 2.0, 1.0])
    found = Found(whole, whole, np.array([[0.0, 0.0, 1.0]]), np.array([[0.0, 0.0, 1.0]]))
    assert found.fused(constant=1.0, sentence_weight=0.0).argmax() == 0
    assert found.fused(constant=1.0, sentence_weight=4.0).argmax() == 2


def test_a_document_scores_as_its_best_chunk() -> None:
    def encode(texts: list[str]) -> np.ndarray:
        return np.array([[float("target" in text), float("target" not in text)] for text in texts], dtype=np.float32)

    search = PassageSearch([("one", "word " * 100), ("two", "word " * 100 + "target")], encode)
    found = search.search("target")
    assert found.by_meaning.tolist() == [0.0, 1.0]
    assert found.sentence_words.shape == (0, 2)
    assert found.fused(constant=60.0, sentence_weight=1.0).argmax() == 1


def test_no_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="documents is empty"):
        PassageSearch([], lambda texts: np.zeros((len(texts), 2), dtype=np.float32))
