"""BM25 is its formula, in any script."""

import math

import numpy as np
import pytest

from ml.serving.bm25 import Bm25, Bm25Index, term_counts, terms

TEXTS = ["the card has a fee", "close the account, the old account", "a fee for a late payment of the card", ""]


def formula(texts: list[list[str]], query: list[str], k: float = 1.2, b: float = 0.75) -> list[float]:
    mean = sum(map(len, texts)) / len(texts)
    scores = []
    for text in texts:
        score = 0.0
        for word in query:
            having = sum(word in other for other in texts)
            inverse = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            count = text.count(word)
            score += inverse * count * (k + 1) / (count + k * (1 - b + b * len(text) / mean))
        scores.append(score)
    return scores


def test_bm25_is_the_formula() -> None:
    plain = [text.replace(",", "").split() for text in TEXTS]
    queries = ["Fee card FEE unknown", "old account"]
    expected = [formula(plain, query.lower().split()) for query in queries]
    assert Bm25Index.build(TEXTS).scores(queries) == pytest.approx(np.array(expected), rel=1e-5)


def test_bm25_of_chinese_goes_by_characters_and_their_pairs() -> None:
    texts = ["什么时候发货", "可以退款吗", "发票什么时候开"]
    plain = [terms(text) for text in texts]
    assert plain[1] == ["可", "以", "退", "款", "吗", "可以", "以退", "退款", "款吗"]
    scores = Bm25Index.build(texts).scores(["退款什么时候到"])
    assert scores[0] == pytest.approx(formula(plain, terms("退款什么时候到")), rel=1e-5)


def test_terms_of_mixed_scripts() -> None:
    assert terms("iPhone15的ＦＥＥ, £5!") == ["iphone15", "的", "fee", "5"]
    assert terms("\ud800 ... 😀") == []


def test_other_documents_are_weighed_by_what_was_known_before() -> None:
    statistics = Bm25.fit(term_counts(TEXTS))
    index = Bm25Index.of(statistics, term_counts(TEXTS[:1]))
    assert index.scores(["card fee"])[0, 0] == pytest.approx(Bm25Index.build(TEXTS).scores(["card fee"])[0, 0])


def test_bm25_of_nothing_known_is_zero() -> None:
    assert Bm25Index.build(TEXTS).scores(["???"]).tolist() == [[0.0] * 4]
    assert Bm25Index.build(["", ""]).scores(["card"]).tolist() == [[0.0, 0.0]]
    assert Bm25Index.build([]).scores(["card"]).shape == (1, 0)
