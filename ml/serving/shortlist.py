"""Ranking a large catalogue by the same mixture as a small one, on the items that can lead.

An item leads by the network (the item index finds those), by a rule, by a neighbour, as one of the history, or by
popularity. What none of these puts forward is no better than the last of them, so that the list is the same as if all
were scored; above the size to which the index is exact, but for what it misses and for its estimate of the softmax's
normaliser.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.vocabulary import Vocabulary
from ml.evaluation.ranking import top_items
from ml.evaluation.untrained import Untrained, recency_weights, recent_items
from ml.nn.sequence_model import Reading
from ml.serving import item_index
from ml.serving.item_index import Codes, Floats, ItemIndex
from ml.serving.requests import NextItemRequest
from ml.serving.scorer import Scorer

# Up to so many items, scoring all of them takes no longer than finding those that can lead.
ALL_SCORED = 10_000
# The index and popularity put forward so many items each, or more where a longer list is asked for.
LEADERS = 300
# Candidates of a request up to this many are all scored; above, the leaders among them.
SCORED_CANDIDATES = 10_000


@dataclass(frozen=True)
class Ranked:
    """The list of one request: at most `count` items, best first, with their scores, and the softmax's part of each
    item's probability (before the network's copies are mixed in). `usual` is the mean item vector (D,) under it."""

    items: list[str]
    scores: list[float]
    generated: Floats
    usual: torch.Tensor

    def part(self, run: slice) -> "Ranked":
        return Ranked(self.items[run], self.scores[run], self.generated[run], self.usual)


@dataclass(frozen=True)
class Shortlist:
    """Ranks items for readings of a scorer's network. `popular` holds all item codes, the most popular first."""

    scorer: Scorer
    index: ItemIndex
    popular: Codes

    @property
    def nbytes(self) -> int:
        return self.index.nbytes + self.popular.nbytes

    def rank(self, reading: Reading, requests: Sequence[NextItemRequest], vocabulary: Vocabulary) -> list[Ranked]:
        """One list for each request; reading row b is what the network makes of requests[b]'s history."""
        query = reading.pooled.cpu().numpy()
        excluded = [np.unique(vocabulary.known_items(request.get("exclude") or [])) for request in requests]
        # As many more as are excluded are found, so that enough remain.
        counts = [max(LEADERS, request["count"]) + len(out) for request, out in zip(requests, excluded, strict=True)]
        best, log_normaliser = self.index.lead(query, min(max(counts), self.index.items))
        ranked = []
        for row, request in enumerate(requests):
            named = request.get("candidates")
            candidates = None
            if named is not None:
                candidates = np.setdiff1d(vocabulary.known_items(named), excluded[row])
            found = self._candidates(candidates, query[row : row + 1], best[0][row], reading, row, counts[row])
            codes = np.setdiff1d(found, [0, *excluded[row]])
            scores, generated = self._score(codes, reading, row, float(log_normaliser[row]))
            usual = self._usual(best[0][row], best[1][row])
            ranked.append(_list(codes, scores, generated, usual, request, vocabulary))
        return ranked

    @torch.inference_mode()
    def _usual(self, codes: Codes, logits: Floats) -> torch.Tensor:
        """The mean vector of the leaders by the softmax over them."""
        return torch.from_numpy(logits).softmax(dim=0) @ self.scorer.model.table[torch.from_numpy(codes - 1)]

    def _candidates(
        self, candidates: Codes | None, query_1D: Floats, best: Codes, reading: Reading, row: int, count: int
    ) -> Codes:
        """Codes of all items that can be among the first `count`, or 0; all of a few candidates."""
        if candidates is not None and len(candidates) <= SCORED_CANDIDATES:
            return candidates
        history = reading.item[row].cpu().numpy()
        untrained = self.scorer.untrained
        recent = self._recent(history)[: untrained.window]
        successors: list[NDArray] = [untrained.rules.row(int(code))[0] + 1 for code in recent if code]
        if untrained.neighbors is not None:
            successors.append(untrained.neighbors.top(history, count)[0])
        if candidates is None:
            return np.concatenate([best, self.popular[:count], history, *successors])
        best = self.index.search(query_1D, count, allowed=candidates)[0][0]
        popular = candidates[top_items(self.scorer.untrained.popularity[candidates - 1], count)]
        return np.concatenate([best, popular, np.intersect1d(np.concatenate([history, *successors]), candidates)])

    def _recent(self, history: Codes) -> Codes:
        return recent_items(history[None], self.scorer.untrained.reach)[0]

    @torch.inference_mode()
    def _score(self, codes: Codes, reading: Reading, row: int, log_normaliser: float) -> tuple[Floats, Floats]:
        """Scores of items by the mixture and the softmax's part of them, (K,) each; codes ascend."""
        model = self.scorer.model
        column = torch.from_numpy(codes - 1)
        logits = model.bias[column] + model.table[column] @ reading.pooled[row]
        generated = (logits - log_normaliser).exp().clamp(max=1.0).cpu().numpy()
        history, copied = reading.item[row].cpu().numpy(), reading.copy_weight[row].float().cpu().numpy()
        share = reading.copy_share[row].float().cpu().numpy()
        neural = (1 - share) * generated
        add_at(neural, codes, history, share * copied)
        components = untrained_at(self.scorer.untrained, self._recent(history), codes)
        components[0] = neural
        self.scorer.speak_for_new_items(components, codes)
        return self.scorer.mixture.combine(components[:, None, :])[0], generated


@torch.no_grad()
def save_shortlist(path: Path, scorer: Scorer) -> None:
    """Store in the artifact folder `path` what takes long to build; nothing for a small catalogue."""
    item_index.save_index(path, scorer.model.table, scorer.model.bias)


@torch.no_grad()
def open_shortlist(path: Path, scorer: Scorer) -> Shortlist | None:
    """None where the catalogue is small enough to score all of it. Raises ValueError as `open_index` does."""
    table, bias = scorer.model.table, scorer.model.bias
    return _over(scorer, item_index.open_index(path, table, bias)) if len(bias) > ALL_SCORED else None


@torch.no_grad()
def grow_shortlist(before: Shortlist | None, scorer: Scorer) -> Shortlist | None:
    """The shortlist of a scorer whose catalogue has grown, which may be too large only now."""
    table, bias = scorer.model.table, scorer.model.bias
    if before is not None:
        return _over(scorer, before.index.with_items(table, bias))
    return _over(scorer, item_index.build_index(table, bias)) if len(bias) > ALL_SCORED else None


def _over(scorer: Scorer, index: ItemIndex) -> Shortlist:
    return Shortlist(scorer, index, np.argsort(-scorer.untrained.popularity, kind="stable") + 1)


def untrained_at(untrained: Untrained, recent: Codes, codes: Codes) -> Floats:
    """The distributions of a Mixture at these items alone, (5, K), as `Untrained.components` has them at all.

    recent (reach,) newest first, padded with 0; codes (K,) ascending.
    """
    components = np.zeros((5, len(codes)), dtype=np.float32)
    _, rules, neighbors, repeats, popular = components
    if untrained.neighbors is not None:
        add_at(neighbors, codes, *untrained.neighbors.sparse(recent[::-1]))
    recent = recent[: untrained.window]
    recency = recency_weights(recent[None])[0]
    for code, weight in zip(recent, recency, strict=True):
        if code:
            successor, share = untrained.rules.row(int(code))
            add_at(rules, codes, successor + 1, weight * share)
    add_at(repeats, codes, recent, recency)
    popular[:] = untrained.popularity[codes - 1]
    return components


def add_at(total_K: Floats, codes_K: Codes, codes: NDArray[np.integer], amounts: Floats) -> None:
    """Add each amount to the total of its item; codes_K ascends, and items that are not in it are passed over."""
    if not len(codes_K):
        return
    place = np.searchsorted(codes_K, codes).clip(max=len(codes_K) - 1)
    there = codes_K[place] == codes
    np.add.at(total_K, place[there], amounts[there])


def _list(
    codes: Codes,
    scores: Floats,
    generated: Floats,
    usual: torch.Tensor,
    request: NextItemRequest,
    vocabulary: Vocabulary,
) -> Ranked:
    """The best `count`; candidates that the model has never heard of follow, with score 0."""
    best = top_items(scores, request["count"])
    items = [vocabulary.items[code - 1] for code in codes[best]]
    unheard = unknown_candidates(request, vocabulary)[: request["count"] - len(items)]
    nothing = np.zeros(len(unheard), dtype=np.float32)
    return Ranked(
        items=items + unheard,
        scores=np.concatenate([scores[best], nothing]).tolist(),
        generated=np.concatenate([generated[best], nothing]),
        usual=usual,
    )


def unknown_candidates(request: NextItemRequest, vocabulary: Vocabulary) -> list[str]:
    refused = set(request.get("exclude") or [])
    named = dict.fromkeys(request.get("candidates") or [])
    return [item for item in named if item not in vocabulary.item_codes and item not in refused]
