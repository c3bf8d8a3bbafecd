"""Passages are found for long questions by each of their sentences and by words that few questions hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.serving.passages import (
    PassageSearch,
    UsualQuestion,
    Weighing,
    chunks,
    distinct_sentences,
    rarity,
    reciprocal_ranks,
    sentences,
    weigh_passages,
)

PLAIN = Weighing(shift=0.0, sharpness=6.0, words=0.0)
TOPICS = ("hello", "card", "loan")


def encode(texts: list[str]) -> np.ndarray:
    """One direction for each topic, and one for everything else."""
    vectors = np.array([[*(float(topic in text.lower()) for topic in TOPICS), 0.1] for text in texts], dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_chunks_cover_all_words_with_the_title_before_each() -> None:
    assert chunks("T", "a b c d e", size=2) == ["T\na b", "T\nc d", "T\ne"]
    assert chunks("T", "") == ["T\n"]


def test_sentences_of_english_lines_and_chinese() -> None:
    assert sentences("Close my account now. Ok!\n- What does it cost?") == [
        "Close my account now.",
        "- What does it cost?",
    ]
    assert sentences("我想退货。多少钱？") == ["我想退货", "多少钱"]
    assert sentences("Refund?") == ["Refund?"]


def test_reciprocal_ranks_start_at_one() -> None:
    assert reciprocal_ranks(np.array([0.1, 0.9, 0.5]), 60.0) == pytest.approx([1 / 63, 1 / 61, 1 / 62])


def test_one_sentence_is_weighed_by_its_cosine_and_its_share_of_words() -> None:
    asked = np.array([[0.6, 0.8]], dtype=np.float32)
    passages = np.eye(2, dtype=np.float32)

    found = weigh_passages(asked, passages, np.array([4.0, 1.0]), Weighing(words=0.1))

    assert found == pytest.approx([0.6 + 0.1, 0.8 + 0.025])


def test_the_best_sentence_counts_more_than_the_mean_of_all() -> None:
    asked = np.array([[1.0, 0.0], [0.0, 0.45], [0.0, 0.45], [0.0, 0.45]], dtype=np.float32)
    none = np.zeros(2)

    by_mean = weigh_passages(asked, np.eye(2, dtype=np.float32), none, Weighing(sharpness=0.01, words=0.0))
    soft = weigh_passages(asked, np.eye(2, dtype=np.float32), none, PLAIN)

    assert by_mean.argmax() == 1
    assert soft.argmax() == 0
    assert soft[0] == pytest.approx(np.log((np.exp(6.0) + 3.0) / 4.0) / 6.0)


def test_a_passage_without_a_vector_is_ranked_by_its_words() -> None:
    asked = np.array([[1.0, 0.0]], dtype=np.float32)
    passages = np.array([[0.9, 0.0], [0.8, 0.0], [0.7, 0.0], [0.1, 0.0], [0.0, 0.0]], dtype=np.float32)

    found = weigh_passages(asked, passages, np.array([0.0, 0.0, 0.0, 0.0, 2.0]), Weighing(words=0.15))

    assert found == pytest.approx([0.9, 0.8, 0.7, 0.1, 0.7 + 0.15])


@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=6), st.floats(0.1, 50.0))
def test_a_score_lies_between_the_mean_and_the_best_sentence(rows: list[list[float]], sharpness: float) -> None:
    asked, passages = np.array(rows, dtype=np.float32), np.eye(3, dtype=np.float32)

    found = weigh_passages(asked, passages, np.zeros(3), Weighing(sharpness=sharpness))

    assert (found <= asked.max(axis=0) + 1e-6).all()
    assert (found >= asked.mean(axis=0) - 1e-6).all()


def test_what_all_questions_say_counts_little() -> None:
    documents = [("Greetings", "hello and good day my friend"), ("Loans", "a loan")]
    question = "Hello there my friend. Hello and good day. I want a loan."
    usual = UsualQuestion.of(["Hello there my friend. Hello and good day to you."] * 10, encode)
    search = PassageSearch(documents, encode)
    asked = search.read(question)

    assert search.by_words(asked).argmax() == 0
    assert search.by_words(asked, usual).argmax() == 1
    assert search.weighed(asked, None, PLAIN).argmax() == 0
    assert search.weighed(asked, usual, Weighing(shift=1.0)).argmax() == 1


def test_without_past_questions_nothing_is_moved_and_all_terms_count_alike() -> None:
    asked = encode(["card", "loan"])

    assert distinct_sentences(asked, None, Weighing()) is asked
    assert rarity(np.array([0.0, 3.0]), 0).tolist() == [1.0, 1.0]
    assert rarity(np.array([0.0, 99.0, 200.0]), 99) == pytest.approx([np.log(200.0), np.log(100 / 99.5), 0.0])


def test_a_document_scores_as_its_best_passage() -> None:
    search = PassageSearch([("one", "word " * 100), ("two", "word " * 100 + "card")], encode)

    found = search.by_meaning(search.read("card"))

    assert len(found) == 4
    assert search.of_documents(found).argmax() == 1
    assert search.of_documents(found)[1] == found[3]


def test_nothing_to_read_is_refused() -> None:
    with pytest.raises(ValueError, match="documents is empty"):
        PassageSearch([], encode)
    with pytest.raises(ValueError, match="questions is empty"):
        UsualQuestion.of([], encode)
