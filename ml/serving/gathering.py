"""Threads that ask at the same time are answered together, so that the item table is read once for all of them."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


@dataclass
class _Asked(Generic[Request, Answer]):
    request: Request
    answer: Answer | None = None
    error: Exception | None = None
    done: bool = False


class Gatherer(Generic[Request, Answer]):
    """While one thread predicts, the requests of others gather; whoever is next takes up to `most` of them along.

    A thread that is alone waits for nobody. Safe for threads.
    """

    def __init__(self, predict: Callable[[list[Request]], list[Answer]], most: int = 32) -> None:
        self.predict = predict
        self.most = most
        self._waiting: deque[_Asked[Request, Answer]] = deque()
        self._turn = threading.Lock()

    def ask(self, request: Request) -> Answer:
        """The answer to one request. Raises what predicting it alone raises."""
        asked: _Asked[Request, Answer] = _Asked(request)
        self._waiting.append(asked)
        while not asked.done:
            with self._turn:
                if not asked.done:
                    self._answer([self._waiting.popleft() for _ in range(min(self.most, len(self._waiting)))])
        if asked.error is not None:
            raise asked.error
        return asked.answer  # type: ignore[return-value]

    def _answer(self, batch: list[_Asked[Request, Answer]]) -> None:
        try:
            answers = self.predict([asked.request for asked in batch])
        except Exception as error:
            if len(batch) > 1:
                # One unusable request must not cost the others their answer.
                for asked in batch:
                    self._answer([asked])
                return
            batch[0].error, batch[0].done = error, True
            return
        for asked, answer in zip(batch, answers, strict=True):
            asked.answer, asked.done = answer, True
