"""Documents are found for long questions by words and meaning, and by each sentence."""

import numpy as np
import pytest

from ml.serving.passages import Found, PassageSearch, chunks, reciprocal_ranks, sentences


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
