"""The next-item predictor: batches of requests in, ranked items with attention and reasons out."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.activity import EVENTS_COUNTED
from ml.data.batches import EventBatch, make_batch
from ml.data.item_features import ItemFeatures
from ml.data.vocabulary import UNKNOWN_TYPE, Vocabulary
from ml.explain import METHODS, Method, method_named
from ml.explain.network import shared_probability, usual_item
from ml.explain.parts import NEURAL, Parts, event_recency, untrained_parts
from ml.nn.sequence_model import Ranking, Reading
from ml.serving.artifact import Artifact
from ml.serving.outlook import outlook_of, usual_outlook
from ml.serving.requests import (
    History,
    NextItemPrediction,
    NextItemRequest,
    Outlook,
    choose_items,
    explained,
    item_codes,
    read_history,
    spread_attention,
)
from ml.serving.rules import popular_prediction
from ml.serving.scorer import Scorer
from ml.serving.shortlist import Ranked, Shortlist, grow_shortlist, open_shortlist

Floats = NDArray[np.float32]

# Requests scored at once: enough to use the matrix units, few enough to keep scores * requests small.
MICRO_BATCH = 32
SCORES_IN_MEMORY = 4 * 2**20


@dataclass(frozen=True)
class NextItemPredictor:
    scorer: Scorer
    vocabulary: Vocabulary
    max_length: int
    task: str = "next_item"
    # What the artifact says of its prediction heads.
    heads: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Instead of scoring all items, where these are too many.
    shortlist: Shortlist | None = None

    @classmethod
    def load(cls, path: Path) -> "NextItemPredictor":
        artifact = Artifact.open(path)
        scorer = Scorer.load(artifact)
        return cls(
            scorer,
            artifact.vocabulary,
            artifact.max_length,
            heads=artifact.heads,
            shortlist=open_shortlist(artifact.path, scorer),
        )

    def add_items(self, ids: list[str], features: ItemFeatures) -> "NextItemPredictor":
        """A predictor that also ranks new items, described by features[j] for ids[j], without any training.

        Trained weights stay as they are, and so do the network's relative scores of the items known before. Attribute
        values that training has not seen say nothing. Raises ValueError for ids that are known or come twice, for
        features that do not fit them, and where the model knows items by id alone.
        """
        known = sorted({name for name in ids if name in self.vocabulary.item_codes})
        if known or len(set(ids)) != len(ids):
            raise ValueError(f"ids must be new and each there once; known already: {', '.join(known[:5]) or 'none'}")
        if features.items != len(ids):
            raise ValueError(f"features describe {features.items} items where there are {len(ids)} ids")
        vocabulary = Vocabulary([*self.vocabulary.items, *ids], self.vocabulary.types)
        scorer = self.scorer.with_items(features)
        shortlist = grow_shortlist(self.shortlist, scorer)
        return replace(self, scorer=scorer, vocabulary=vocabulary, shortlist=shortlist)

    @property
    def nbytes(self) -> int:
        return self.scorer.nbytes + self.vocabulary.nbytes + (self.shortlist.nbytes if self.shortlist else 0)

    def predict(self, requests: list[NextItemRequest]) -> list[NextItemPrediction]:
        """Answers in the order of the requests. Raises ValueError for a request whose lists do not fit together."""
        histories = [read_history(request, self.vocabulary, limit=self.max_length) for request in requests]
        answers: dict[int, NextItemPrediction] = {}
        known = [number for number, history in enumerate(histories) if len(history.index)]
        # Histories of like length share a micro-batch, so that short ones do not pay for long ones.
        known.sort(key=lambda number: len(histories[number].index))
        size = MICRO_BATCH
        if self.shortlist is None:
            size = max(1, min(MICRO_BATCH, SCORES_IN_MEMORY // len(self.vocabulary.items)))
        for begin in range(0, len(known), size):
            chosen = known[begin : begin + size]
            asked = [requests[number] for number in chosen]
            batch = self._batch(asked, [histories[number] for number in chosen])
            reading, ranked = self._rank(batch, asked)
            for row, number in enumerate(chosen):
                answers[number] = self._answer(requests[number], histories[number], ranked[row], reading, batch, row)
        for number, request in enumerate(requests):
            if number not in answers:
                answers[number] = popular_prediction(self.scorer.untrained, request, self.vocabulary)
        return [answers[number] for number in range(len(requests))]

    def outlook(self, requests: list[NextItemRequest]) -> list[Outlook]:
        """What the prediction heads say after each request's last event; who is unknown gets the usual rates.

        Requests should hold the subject's last EVENTS_COUNTED events, as far as there are so many.
        Raises ValueError for a request whose lists do not fit together, and for a model without such heads.
        """
        if not self.heads:
            raise ValueError("this model predicts the next item alone; train it with the setting prediction_heads")
        histories = [read_history(request, self.vocabulary, limit=self.max_length) for request in requests]
        counted = [read_history(request, self.vocabulary, limit=EVENTS_COUNTED).index for request in requests]
        answers = [usual_outlook(self.heads, self.vocabulary) for _ in requests]
        known = [number for number, history in enumerate(histories) if len(history.index)]
        known.sort(key=lambda number: len(histories[number].index))
        for begin in range(0, len(known), MICRO_BATCH):
            chosen = known[begin : begin + MICRO_BATCH]
            batch = self._batch([requests[number] for number in chosen], [histories[number] for number in chosen])
            times = [np.array(requests[number]["times"])[counted[number]] for number in chosen]
            for number, answer in zip(
                chosen, outlook_of(self.scorer.model, batch, times, self.vocabulary), strict=True
            ):
                answers[number] = answer
        return answers

    def _rank(self, batch: EventBatch, requests: list[NextItemRequest]) -> tuple[Reading, list[Ranked]]:
        """The list of each request, whose histories are the batch's rows."""
        if self.shortlist is not None:
            reading = self.scorer.model.read(batch)
            return reading, self.shortlist.rank(reading, requests, self.vocabulary)
        scores, ranking = self.scorer.scores(batch)
        return ranking, [self._ranked(request, scores[row], ranking, row) for row, request in enumerate(requests)]

    def _ranked(self, request: NextItemRequest, scores: Floats, ranking: Ranking, row: int) -> Ranked:
        items, item_scores = choose_items(scores, request, self.vocabulary)
        codes = torch.tensor([self.vocabulary.item_codes.get(item, 0) for item in items], dtype=torch.long)
        generated = ranking.generated[row, (codes - 1).clamp(min=0)] * (codes > 0)
        usual = usual_item(self.scorer.model, ranking.generated[row])
        return Ranked(items, item_scores, generated.float().cpu().numpy(), usual)

    def _batch(self, requests: list[NextItemRequest], histories: list[History]) -> EventBatch:
        length = np.array([len(history.index) for history in histories])
        shape = (len(histories), int(length.max()))
        item, type_code = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        time, value = np.zeros(shape), np.full(shape, np.nan)
        for row, (request, history) in enumerate(zip(requests, histories, strict=True)):
            known = slice(0, length[row])
            item[row, known] = history.item
            codes = self.vocabulary.type_codes
            type_code[row, known] = [codes.get(request["types"][event], UNKNOWN_TYPE) for event in history.index]
            time[row, known] = [request["times"][event] for event in history.index]
            values = [request["values"][event] for event in history.index]
            value[row, known] = [np.nan if given is None else given for given in values]
        return make_batch(item, type_code, time, value, length).to(self.scorer.model.bias.device)

    def _answer(
        self,
        request: NextItemRequest,
        history: History,
        ranked: Ranked,
        reading: Reading,
        batch: EventBatch,
        row: int,
    ) -> NextItemPrediction:
        weight = reading.weight[row, : len(history.index)].float().cpu().numpy()
        if not self.scorer.mixture.neural:
            weight = event_recency(history.item, self.scorer.untrained.window)
        method = method_named(request.get("attribution", METHODS[0]))

        def parts_of(run: slice) -> Parts:
            return self._parts(history, ranked.part(run), reading, batch, row, method)

        return NextItemPrediction(
            items=ranked.items,
            scores=ranked.scores,
            attention=spread_attention(weight, history, len(request["items"])),
            **explained(parts_of, ranked.scores, history, decompose=request.get("decompose", False)),
        )

    def _parts(
        self,
        history: History,
        ranked: Ranked,
        reading: Reading,
        batch: EventBatch,
        row: int,
        method: Method,
    ) -> Parts:
        """The parts of the scores of the ranked items."""
        scorer = self.scorer
        codes = item_codes(ranked.items, self.vocabulary)
        parts = untrained_parts(scorer.untrained, scorer.mixture, history.item, codes)
        if not scorer.mixture.neural:
            return parts
        device = scorer.model.bias.device
        events, base = shared_probability(
            scorer.model,
            reading,
            batch,
            row,
            torch.from_numpy(codes).to(device),
            torch.from_numpy(ranked.generated).to(device),
            ranked.usual,
            method,
        )
        parts.events[NEURAL], parts.base[NEURAL] = events.float().cpu().numpy(), base.float().cpu().numpy()
        scorer.weigh_network(parts, codes)
        return parts
