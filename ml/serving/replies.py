"""The replies predictor: a conversation, the customer's recent events and candidate replies in; a ranking out.

Its artifact: model.safetensors (network, inverse frequencies, what is familiar), vocabulary.json (events), config.json
(format, task, size of the network, mixture, calibration, settings), report.json.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from scipy.special import log_softmax

from ml.data.item_features import ItemFeatures
from ml.data.reply_pairs import CustomerEvent
from ml.data.vocabulary import Vocabulary
from ml.evaluation.calibration import Calibrator, calibrator_from_dict
from ml.nn.device import device_of
from ml.nn.reply_encoder import ReplyEncoder
from ml.nn.text_encoder import TextEncoder, encoder_name, pretrained_encoder
from ml.serving.artifact import write_json
from ml.serving.bm25 import Bm25, Bm25Index
from ml.serving.familiarity import Familiarity
from ml.serving.reply_inputs import (
    BUCKETS,
    MOST_EVENTS,
    AskedTexts,
    ReplyTexts,
    bags_of,
    event_batch,
    read_conversations,
    read_replies,
    readable,
)
from ml.serving.reply_requests import Candidate, RankedReply, ReplyPrediction, ReplyRequest

REPLIES_FORMAT = 1
SIGNALS = ("encoder", "words", "meaning")
# Candidates whose vectors a predictor keeps, about 3 KB each: the same few thousand come again and again.
MOST_KEPT = 20_000
CERTAIN = 1e-9
FAMILIAR_ARRAYS = ("having", "strange")

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class EncodedReplies:
    """`vectors` (replies, D) of the network and `text` (replies, dimension) of the pretrained encoder, rows of length
    1; `words` holds the postings."""

    vectors: Floats
    text: Floats
    words: Bm25Index


@dataclass(frozen=True)
class EncodedAsked:
    """`familiar` (asked,) is how like each is to the conversations of the training, 0 to 1."""

    vectors: Floats
    text: Floats
    query: csr_matrix
    attention: Floats
    familiar: Doubles


@dataclass
class ReplyModel:
    """The trained parts. `weights` (SIGNALS,) mix what the parts say into logits over the candidates."""

    network: ReplyEncoder
    words: Bm25
    vocabulary: Vocabulary
    encoder: TextEncoder | None
    weights: Doubles
    calibrator: Calibrator
    # None in artifacts of before it was measured: to those all is familiar.
    familiarity: Familiarity | None = None

    @torch.inference_mode()
    def asked(self, texts: AskedTexts, events: Sequence[Sequence[CustomerEvent]]) -> EncodedAsked:
        device = device_of(self.network)
        batch = event_batch(events, self.vocabulary).to(device) if self.network.events is not None else None
        vectors, attention = self.network.conversation(
            texts.bags().to(device), torch.from_numpy(texts.text).to(device), batch
        )
        weight = np.zeros((len(vectors), 0), dtype=np.float32) if attention is None else attention.cpu().numpy()
        familiar = np.ones(len(vectors)) if self.familiarity is None else self.familiarity(texts)
        return EncodedAsked(vectors.cpu().numpy(), texts.text, texts.query, weight, familiar)

    @torch.inference_mode()
    def vectors(self, texts: ReplyTexts) -> Floats:
        device = device_of(self.network)
        text = torch.from_numpy(texts.text).to(device)
        found: Floats = self.network.reply(bags_of(texts.counts).to(device), text).cpu().numpy()
        return found

    def replies(self, texts: ReplyTexts) -> EncodedReplies:
        return EncodedReplies(self.vectors(texts), texts.text, Bm25Index.of(self.words, texts.counts))

    def logits(self, signals: Doubles) -> Doubles:
        """(asked, replies) of signals with one more axis."""
        found: Doubles = signals @ self.weights
        return found

    def probabilities(self, logits: Doubles, familiar: Doubles) -> Doubles:
        """(asked, replies), each for itself: they need not sum to 1, since none may be right. What was calibrated on
        conversations like the training's counts as far as one is like these."""
        return self.calibrator(share_odds(logits)) * familiar[:, None]


def signals_of(asked: EncodedAsked, replies: EncodedReplies) -> Doubles:
    """(asked, replies, SIGNALS): the network's cosine, the log of 1 + BM25, and the pretrained encoder's cosine."""
    words = np.log1p((asked.query @ replies.words.postings).toarray())
    return np.stack([asked.vectors @ replies.vectors.T, words, asked.text @ replies.text.T], axis=2, dtype=np.float64)


def share_odds(logits: Doubles) -> Doubles:
    """The log-odds of each one's share of the softmax over its row."""
    share = np.exp(log_softmax(logits, axis=1)).clip(CERTAIN, 1.0 - CERTAIN)
    found: Doubles = np.log(share / (1.0 - share))
    return found


@dataclass(frozen=True)
class ReplyPredictor:
    model: ReplyModel
    task: str = "replies"
    _kept: OrderedDict[str, tuple[Floats, ReplyTexts]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, path: Path) -> "ReplyPredictor":
        """Raises FileNotFoundError or ValueError where the folder is no artifact of this task."""
        from safetensors.torch import load_file

        path = Path(path)
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        if config["task"] != "replies" or config["format"] != REPLIES_FORMAT:
            raise ValueError(f"{path} holds task {config['task']}, format {config['format']}, and no such replies")
        encoder = None
        if config["encoder"] is not None:
            encoder = pretrained_encoder(encoder_name())
            if encoder.identity != config["encoder"]:
                raise ValueError(f"{path} was trained with another TEXT_ENCODER than the one that is set; train again")
        arrays = load_file(path / "model.safetensors")
        words = Bm25(arrays.pop("words.inverse").numpy(), config["mean_length"])
        known: dict[str, Any] = {
            name: arrays.pop(f"familiar.{name}").numpy() for name in FAMILIAR_ARRAYS if "familiar" in config
        }
        network = ReplyEncoder(buckets=BUCKETS, dropout=0.0, word_dropout=0.0, **config["network"])
        network.load_state_dict({name: array.float() for name, array in arrays.items()})
        return cls(
            ReplyModel(
                network=network.eval().requires_grad_(False),
                words=words,
                vocabulary=Vocabulary.load(path / "vocabulary.json"),
                encoder=encoder,
                weights=np.array([config["mixture"][name] for name in SIGNALS]),
                calibrator=calibrator_from_dict(config["calibrator"]),
                familiarity=Familiarity(**known, **config["familiar"]) if known else None,
            )
        )

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write all but the report."""
        from safetensors.torch import save_file

        model, network = self.model, self.model.network
        arrays = {name: weight.detach().contiguous() for name, weight in network.state_dict().items()}
        arrays["words.inverse"] = torch.from_numpy(model.words.inverse)
        familiar = {} if model.familiarity is None else vars(model.familiarity)
        arrays |= {f"familiar.{name}": torch.from_numpy(familiar[name]) for name in FAMILIAR_ARRAYS if familiar}
        partial = path / "model.safetensors.partial"
        save_file(arrays, partial)
        partial.replace(path / "model.safetensors")
        model.vocabulary.save(path / "vocabulary.json")
        config = {
            "format": REPLIES_FORMAT,
            "task": self.task,
            "network": network.shape,
            "encoder": None if model.encoder is None else model.encoder.identity,
            "mean_length": model.words.mean_length,
            "mixture": dict(zip(SIGNALS, model.weights.tolist(), strict=True)),
            "calibrator": model.calibrator.to_dict(),
            "settings": settings,
        }
        if familiar:
            config["familiar"] = {name: value for name, value in familiar.items() if name not in FAMILIAR_ARRAYS}
        write_json(path / "config.json", config)

    @property
    def nbytes(self) -> int:
        """Without the pretrained encoder, which all models of a process share."""
        weights = sum(weight.numel() * weight.element_size() for weight in self.model.network.parameters())
        familiarity = 0 if self.model.familiarity is None else self.model.familiarity.nbytes
        return weights + self.model.words.inverse.nbytes + familiarity + self.model.vocabulary.nbytes

    def add_items(self, ids: list[str], features: ItemFeatures) -> "ReplyPredictor":
        """Raises ValueError: this model knows items by id alone."""
        raise ValueError("a model of replies describes no items")

    def predict(self, requests: list[ReplyRequest]) -> list[ReplyPrediction]:
        """Answers in the order of the requests. Raises ValueError for a conversation without a message."""
        if not requests:
            return []
        asked = self._asked(requests)
        return [
            _prediction(self.model, request, _row(asked, number), self.encode_candidates(request["candidates"]))
            for number, request in enumerate(requests)
        ]

    def rank(self, request: ReplyRequest, candidates: EncodedReplies) -> ReplyPrediction:
        """As `predict`, where the vectors of the request's candidates are at hand: one matrix product for all."""
        return _prediction(self.model, request, self._asked([request]), candidates)

    def encode_candidates(self, candidates: Sequence[Candidate]) -> EncodedReplies:
        """Vectors and words of candidates; those that were encoded before are remembered by their text."""
        texts = [readable(candidate["text"]) for candidate in candidates]
        with self._lock:
            found = {text: self._kept[text] for text in texts if text in self._kept}
        if missing := [text for text in dict.fromkeys(texts) if text not in found]:
            read = read_replies(missing, self.model.encoder)
            vectors = self.model.vectors(read)
            found |= {text: (vectors[row], read.rows(np.array([row]))) for row, text in enumerate(missing)}
            self._keep(found)
        if not texts:
            return self.model.replies(read_replies([], self.model.encoder))
        wanted = [found[text] for text in texts]
        counts = vstack([part.counts for _, part in wanted], format="csr")
        text = np.concatenate([part.text for _, part in wanted])
        return EncodedReplies(np.stack([vector for vector, _ in wanted]), text, Bm25Index.of(self.model.words, counts))

    def _asked(self, requests: list[ReplyRequest]) -> EncodedAsked:
        texts = read_conversations([request["conversation"] for request in requests], self.model.encoder)
        return self.model.asked(texts, [request["events"] for request in requests])

    def _keep(self, found: dict[str, tuple[Floats, ReplyTexts]]) -> None:
        with self._lock:
            self._kept.update(found)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)


def _row(asked: EncodedAsked, number: int) -> EncodedAsked:
    one = slice(number, number + 1)
    return EncodedAsked(
        asked.vectors[one], asked.text[one], asked.query[one], asked.attention[one], asked.familiar[one]
    )


def _prediction(
    model: ReplyModel, request: ReplyRequest, asked: EncodedAsked, replies: EncodedReplies
) -> ReplyPrediction:
    candidates, events = request["candidates"], request["events"]
    attention = np.zeros(len(events))
    read = min(len(events), MOST_EVENTS, asked.attention.shape[1])
    attention[len(events) - read :] = asked.attention[0, :read]
    if not candidates:
        return ReplyPrediction(replies=[], attention=attention.tolist(), familiar=float(asked.familiar[0]))
    logits = model.logits(signals_of(asked, replies))
    probabilities = model.probabilities(logits, asked.familiar)[0]
    ranked = [
        RankedReply(id=candidates[row]["id"], score=float(logits[0, row]), probability=float(probabilities[row]))
        for row in np.argsort(-logits[0], kind="stable")
    ]
    return ReplyPrediction(replies=ranked, attention=attention.tolist(), familiar=float(asked.familiar[0]))
