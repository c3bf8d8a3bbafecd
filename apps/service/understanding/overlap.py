"""How alike texts are by the words that they share: this answers without a model, and finds examples in conflict."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from catalog.text_analysis import analyse, indexed_pairs

# Words of a text beyond these change nothing worth their cost.
MOST_TERMS = 200


@dataclass(frozen=True)
class Match:
    """`row` of the texts that were given, and the cosine of its words to the text's, in (0, 1]."""

    row: int
    similarity: float


class Overlap:
    """Texts by their words, and by pairs of neighbours where a script has no spaces; rare ones weigh more.

    Similarity is the cosine of vectors of inverse document frequency (Sparck Jones, 1972).
    """

    def __init__(self, texts: Sequence[str]) -> None:
        terms = [terms_of(text) for text in texts]
        seen = Counter(term for each in terms for term in each)
        self._most_common = math.log(1.0 + len(texts))
        self._weight = {term: math.log((1.0 + len(texts)) / count) for term, count in seen.items()}
        self._rows: dict[str, list[int]] = defaultdict(list)
        self._length: list[float] = []
        for row, each in enumerate(terms):
            for term in each:
                self._rows[term].append(row)
            self._length.append(math.sqrt(sum(self._weight[term] ** 2 for term in each)))

    def nearest(self, text: str, count: int) -> list[Match]:
        """At most `count` texts that share a word, the most similar first."""
        terms = terms_of(text)
        shared: dict[int, float] = defaultdict(float)
        length = 0.0
        for term in terms:
            # A word that no text has counts as a rare one: it makes the text less like all of them.
            weight = self._weight.get(term, self._most_common)
            length += weight**2
            for row in self._rows.get(term, ()):
                shared[row] += weight**2
        best = sorted(
            ((total / (math.sqrt(length) * self._length[row]), -row) for row, total in shared.items()), reverse=True
        )
        return [Match(-row, min(similarity, 1.0)) for similarity, row in best[:count]]


def terms_of(text: str) -> list[str]:
    """Each term once, in order."""
    analysed = analyse(text)
    return list(dict.fromkeys([*analysed.words, *(pair for run in analysed.runs for pair in indexed_pairs(run))]))[
        :MOST_TERMS
    ]
