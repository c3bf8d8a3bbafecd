"""The words of a tenant's chunks in memory, weighed and matched as `service_match_words` does it in the database."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apps.service.knowledge.asking import MOST_MATCHES

# Terms of fewer chunks count as rare without being counted, and most terms are such.
LEAST_COUNTED = 8
# k1 of BM25: how soon a repeated term says nothing more.
SATURATION = 1.2


@dataclass(frozen=True)
class ReadTerms:
    """The terms of the chunk in `row`, and how often each occurs, in the title as three times, in headings as twice."""

    row: int
    terms: Sequence[str]
    times: Sequence[float]


@dataclass(frozen=True)
class TermIndex:
    """For each of `names` the chunks that hold it: those from `starts[n]` to `starts[n + 1]` in `rows`, of `count`
    rows, and in `shares` n / (n + 1.2) of BM25 (Robertson and Zaragoza, 2009) without a correction for length, where n
    is how often. Never changed."""

    count: int
    names: Sequence[str]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    shares: NDArray[np.float64]

    @classmethod
    def empty(cls) -> "TermIndex":
        return cls(0, [], np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int32), np.empty(0))

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    def changed(self, count: int, moved: NDArray[np.int64], read: Sequence[ReadTerms]) -> "TermIndex":
        """For `count` rows: those of before, each where `moved` says, -1 for nowhere, and the ones that were read."""
        numbers = dict(self.numbers)
        terms = np.repeat(np.arange(len(self.names)), np.diff(self.starts))
        rows = moved[self.rows]
        new_terms = [numbers.setdefault(term, len(numbers)) for each in read for term in each.terms]
        new_times = np.array([time for each in read for time in each.times], dtype=np.float64)
        new_rows = np.repeat([each.row for each in read], [len(each.terms) for each in read])
        terms = np.concatenate([terms[rows >= 0], np.array(new_terms, dtype=np.int64)])
        shares = np.concatenate([self.shares[rows >= 0], new_times / (new_times + SATURATION)])
        rows = np.concatenate([rows[rows >= 0], new_rows])
        order = np.argsort(terms, kind="stable")
        having = np.bincount(terms, minlength=len(numbers))
        return TermIndex(
            count=count,
            # What no chunk holds any more is forgotten.
            names=[name for name, chunks in zip(numbers, having.tolist(), strict=True) if chunks],
            starts=np.concatenate([[0], np.cumsum(having[having > 0])]),
            rows=rows[order].astype(np.int32),
            shares=shares[order],
        )

    def matches(
        self, terms: Sequence[str], usual: Mapping[str, int], questions: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """(rows, relevance) of the chunks that hold one of the weightiest terms, by rows. `usual` says how many of
        `questions` have a term, of those that several have."""
        weighed = sorted((-self._weight(term, usual, questions), term) for term in terms)
        relevance, is_match = np.zeros(self.count), np.zeros(self.count, dtype=bool)
        reached = 0
        for place, (negative, term) in enumerate(weighed):
            reached += self._counted(term)
            begin, end = self._span(term)
            rows = self.rows[begin:end]
            relevance[rows] += self.shares[begin:end] * -negative
            if place == 0 or reached <= MOST_MATCHES:
                is_match[rows] = True
        matched = np.flatnonzero(is_match)
        return matched, relevance[matched]

    def _weight(self, term: str, usual: Mapping[str, int], questions: int) -> float:
        """The inverse frequency of BM25, times how rare the term is in questions, as `ml.serving.passages.rarity`."""
        chunks = self._counted(term)
        rarity = max(0.0, math.log((questions + 1) / (usual.get(term, 0) + 0.5))) if questions else 1.0
        return rarity * math.log(1 + (max(self.count, chunks) - chunks + 0.5) / (chunks + 0.5))

    def _counted(self, term: str) -> int:
        begin, end = self._span(term)
        return end - begin if end - begin >= LEAST_COUNTED else 1

    def _span(self, term: str) -> tuple[int, int]:
        number = self.numbers.get(term)
        return (0, 0) if number is None else (int(self.starts[number]), int(self.starts[number + 1]))
