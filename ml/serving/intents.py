"""The intents predictor: a text in; its intent, how sure that is, and whether it is in scope at all, out.

Its artifact: model.safetensors (heads, training vectors), encoder_0/, encoder_1/... (tuned encoders), config.json
(format, task, intents, routes, settings), report.json.

A text takes one of two routes. `encoder` averages tuned encoders and the n-grams; `grams` is n-grams alone, for texts
in a script that the encoder was not made for, and where there is no encoder. Each has its own calibration and line.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import log_softmax, logsumexp

from ml.data.item_features import ItemFeatures
from ml.data.labelled_texts import language_of
from ml.data.text_grams import gram_counts, weighted
from ml.evaluation.calibration import Calibrator, calibrator_from_dict
from ml.nn.text_encoder import TextEncoder, intent_encoder_name, pretrained_encoder
from ml.serving.artifact import write_json
from ml.serving.intent_requests import IntentPrediction, IntentRequest, IntentScore

INTENTS_FORMAT = 2
BEST = 5
# The nearest texts whose mean cosine says how like what was trained on a text is.
NEAREST = 5
# The languages whose texts go through the encoder; the installed one was made for English.
ENCODED = {"en"}
CERTAIN = 1e-9

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Head:
    """Logits x @ weight.T + bias; weight (intents, dimension), bias (intents,)."""

    weight: Floats
    bias: Floats

    def __call__(self, vectors: Floats | csr_matrix) -> Doubles:
        found: Doubles = np.asarray(vectors @ self.weight.T + self.bias, dtype=np.float64)
        return found


@dataclass(frozen=True)
class Member:
    encoder: TextEncoder
    head: Head


@dataclass(frozen=True)
class Evidence:
    """What the parts say of texts: (texts, intents) logits of n-grams and of the encoders on average, and (texts,) the
    mean cosine to the nearest training texts. Without encoders the last two are zeros."""

    grams: Doubles
    encoders: Doubles
    nearness: Doubles

    def rows(self, rows: NDArray[Any]) -> "Evidence":
        return Evidence(self.grams[rows], self.encoders[rows], self.nearness[rows])


@dataclass(frozen=True)
class Route:
    """How evidence becomes an answer. `gram_share` is what the n-grams' distribution counts in the mixture, in [0, 1];
    scope scores are the signs, less `centre` and over `spread`, times `weights`."""

    gram_share: float
    calibrator: Calibrator
    centre: list[float]
    spread: list[float]
    weights: list[float]
    threshold: float
    curve: list[dict[str, Any]]

    def probabilities(self, evidence: Evidence) -> Doubles:
        return mixture(evidence, self.gram_share)

    def correct(self, probabilities: Doubles) -> Doubles:
        """(texts,): the probability that the best intent is right."""
        return self.calibrator(log_odds(probabilities.max(axis=1)))

    def scope(self, evidence: Evidence) -> Doubles:
        signs = scope_signs(evidence, self.gram_share)
        found: Doubles = (signs - np.array(self.centre)) / np.array(self.spread) @ np.array(self.weights)
        return found

    def to_dict(self) -> dict[str, Any]:
        return vars(self) | {"calibrator": self.calibrator.to_dict()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Route":
        return cls(**{**stored, "calibrator": calibrator_from_dict(stored["calibrator"])})


@dataclass(frozen=True)
class IntentModel:
    """The trained parts. `inverse`: (buckets,) inverse frequencies; `neighbors`: (texts, dimension) unit vectors of the
    first member's training texts, empty without encoders."""

    inverse: Floats
    grams: Head
    members: list[Member]
    neighbors: Floats

    def evidence(self, texts: list[str], encoded: NDArray[np.bool_]) -> Evidence:
        """`encoded` (texts,) says which texts may go through the encoders."""
        grams = self.grams(weighted(gram_counts(texts), self.inverse))
        encoders, nearness = np.zeros_like(grams), np.zeros(len(texts))
        rows = np.flatnonzero(encoded)
        if not (self.members and len(rows)):
            return Evidence(grams, encoders, nearness)
        chosen = [texts[row] for row in rows]
        for number, member in enumerate(self.members):
            vectors = member.encoder.encode(chosen)
            encoders[rows] += log_softmax(member.head(vectors), axis=1) / len(self.members)
            if number == 0:
                nearness[rows] = _nearness(vectors, self.neighbors)
        return Evidence(grams, encoders, nearness)


@dataclass(frozen=True)
class IntentPredictor:
    model: IntentModel
    intents: list[str]
    routes: dict[str, Route]
    task: str = "intents"

    @classmethod
    def load(cls, path: Path) -> "IntentPredictor":
        """Raises FileNotFoundError or ValueError where the folder is no artifact of this task."""
        from safetensors.numpy import load_file

        path = Path(path)
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        if config["task"] != "intents" or config["format"] != INTENTS_FORMAT:
            raise ValueError(f"{path} holds task {config['task']}, format {config['format']}, and no such intents")
        arrays = load_file(path / "model.safetensors")
        members = [
            Member(_encoder(path, number, config["encoder"]), _head(arrays, f"member_{number}"))
            for number in range(config["members"])
        ]
        model = IntentModel(arrays["inverse"], _head(arrays, "grams"), members, arrays["neighbors"].astype(np.float32))
        routes = {name: Route.from_dict(route) for name, route in config["routes"].items()}
        return cls(model, config["intents"], routes)

    def save(self, path: Path, settings: dict[str, Any], *, tuned: bool) -> None:
        """Write all but the report; encoders that were not tuned are named by identity and not copied."""
        from safetensors.numpy import save_file

        arrays = {"inverse": self.model.inverse, "neighbors": self.model.neighbors.astype(np.float16)}
        heads = {"grams": self.model.grams}
        for number, member in enumerate(self.model.members):
            heads[f"member_{number}"] = member.head
            folder = path / f"encoder_{number}"
            if tuned and not folder.exists():
                member.encoder.save(folder)
        for name, head in heads.items():
            arrays |= {f"{name}.weight": head.weight, f"{name}.bias": head.bias}
        partial = path / "model.safetensors.partial"
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, partial)
        partial.replace(path / "model.safetensors")
        config = {
            "format": INTENTS_FORMAT,
            "task": self.task,
            "intents": self.intents,
            "members": len(self.model.members),
            "encoder": None if tuned or not self.model.members else self.model.members[0].encoder.identity,
            "routes": {name: route.to_dict() for name, route in self.routes.items()},
            "settings": settings,
        }
        write_json(path / "config.json", config)

    @property
    def nbytes(self) -> int:
        model = self.model
        arrays = [model.inverse, model.neighbors, model.grams.weight, *(member.head.weight for member in model.members)]
        encoders = {id(member.encoder): member.encoder.model for member in model.members}.values()
        weights = sum(weight.numel() * weight.element_size() for model in encoders for weight in model.parameters())
        return sum(array.nbytes for array in arrays) + weights

    def add_items(self, ids: list[str], features: ItemFeatures) -> "IntentPredictor":
        """Raises ValueError: this model knows no items."""
        raise ValueError("a model of intents holds no items")

    def predict(self, requests: list[IntentRequest]) -> list[IntentPrediction]:
        """Answers in the order of the requests; a blank text is out of scope."""
        if not requests:
            return []
        # Half of a surrogate pair is no text that a tokenizer could read.
        texts = [request["text"].encode("utf-8", "replace").decode() for request in requests]
        languages = [language_of(text) for text in texts]
        encoded = np.array([self.is_encoded(language) for language in languages])
        evidence = self.model.evidence(texts, encoded)
        answers: dict[int, IntentPrediction] = {}
        for name, rows in (("encoder", np.flatnonzero(encoded)), ("grams", np.flatnonzero(~encoded))):
            if not len(rows):
                continue
            route, part = self.routes[name], evidence.rows(rows)
            shares, scope = route.probabilities(part), route.scope(part)
            for row, share, correct, score in zip(rows, shares, route.correct(shares), scope, strict=True):
                best = [
                    IntentScore(intent=self.intents[code], probability=float(share[code]))
                    for code in np.argsort(-share, kind="stable")[:BEST]
                ]
                answers[int(row)] = IntentPrediction(
                    intent=best[0]["intent"],
                    probability=float(correct),
                    scores=best,
                    scope=float(score),
                    out_of_scope=bool(score < route.threshold or not texts[row].strip()),
                    language=languages[row],
                )
        return [answers[number] for number in range(len(requests))]

    def is_encoded(self, language: str) -> bool:
        return language in ENCODED and "encoder" in self.routes


def mixture(evidence: Evidence, gram_share: float) -> Doubles:
    """(texts, intents), rows sum to 1."""
    grams = np.exp(log_softmax(evidence.grams, axis=1))
    encoders = np.exp(log_softmax(evidence.encoders, axis=1))
    found: Doubles = gram_share * grams + (1.0 - gram_share) * encoders
    return found


def scope_signs(evidence: Evidence, gram_share: float) -> Doubles:
    """(texts, 4), each higher for texts in scope: log-odds of the best intent, nearness to training texts, the n-grams'
    energy (Liu et al., 2020, section 3), and how much the n-grams give to the intent that is answered."""
    probabilities = mixture(evidence, gram_share)
    answered = np.take_along_axis(
        log_softmax(evidence.grams, axis=1), probabilities.argmax(axis=1)[:, None], axis=1
    ).ravel()
    return np.stack(
        [log_odds(probabilities.max(axis=1)), evidence.nearness, logsumexp(evidence.grams, axis=1), answered], axis=1
    )


def log_odds(probability: Doubles) -> Doubles:
    within = probability.clip(CERTAIN, 1.0 - CERTAIN)
    found: Doubles = np.log(within / (1.0 - within))
    return found


def _nearness(vectors: Floats, neighbors: Floats) -> Doubles:
    cosines = vectors @ neighbors.T
    nearest = min(NEAREST, cosines.shape[1])
    found: Doubles = np.partition(cosines, -nearest, axis=1)[:, -nearest:].mean(axis=1, dtype=np.float64)
    return found


def _head(arrays: dict[str, Floats], name: str) -> Head:
    return Head(arrays[f"{name}.weight"], arrays[f"{name}.bias"])


def _encoder(path: Path, number: int, identity: str | None) -> TextEncoder:
    if identity is None:
        return TextEncoder.load(str(path / f"encoder_{number}"))
    encoder = pretrained_encoder(intent_encoder_name())
    if encoder.identity != identity:
        raise ValueError(f"{path} was trained with another INTENT_ENCODER than the one that is set; train it again")
    return encoder
