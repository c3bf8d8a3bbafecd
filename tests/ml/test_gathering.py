"""Requests of several threads, predicted together."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml.serving.gathering import Gatherer


def halves(requests: list[int]) -> list[int]:
    if any(request % 2 for request in requests):
        raise ValueError("odd")
    return [request // 2 for request in requests]


def test_each_thread_gets_its_own_answer() -> None:
    gatherer = Gatherer(halves, most=4)
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(gatherer.ask, range(0, 400, 2))) == list(range(200))


def test_what_comes_while_one_is_predicted_is_predicted_together() -> None:
    begun, go_on = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def predict(requests: list[int]) -> list[int]:
        batches.append(requests)
        begun.set()
        go_on.wait(10)
        return requests

    gatherer = Gatherer(predict, most=3)
    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(gatherer.ask, 1)
        begun.wait(10)
        others = [threads.submit(gatherer.ask, number) for number in range(2, 7)]
        while len(gatherer._waiting) < 5:
            threading.Event().wait(0.001)
        go_on.set()
        assert [each.result(10) for each in (first, *others)] == [1, 2, 3, 4, 5, 6]
    assert sorted(len(batch) for batch in batches) == [1, 2, 3]


def test_an_unusable_request_costs_the_others_nothing() -> None:
    gatherer = Gatherer(halves)
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(gatherer.ask, number) for number in range(100)]
    for number, answer in enumerate(answers):
        if number % 2:
            with pytest.raises(ValueError, match="odd"):
                answer.result()
        else:
            assert answer.result() == number // 2
