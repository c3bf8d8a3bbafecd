"""A cross-encoder: question and passage in one input of a transformer, one score out (Nogueira and Cho, 2019)."""

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ml.nn.device import device_of
from ml.nn.losses import half_precision
from ml.nn.text_encoder import HalfLinear, encoder_name, save_transformer

PAIRS_AT_ONCE = 32


class CrossEncoder:
    """A sequence classification model of one label, or of two of which the second says "answers"."""

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        """Raises ValueError for a model of more labels."""
        self.model, self.tokenizer = model.eval(), tokenizer
        self.labels = int(model.config.num_labels)  # type: ignore[union-attr, arg-type]
        if self.labels > 2:
            raise ValueError(f"a cross-encoder has one label, or two; this model has {self.labels}")

    @classmethod
    def load(cls, folder: str) -> "CrossEncoder":
        """From a local folder. Raises ValueError where it holds no sequence classification model with all its weights.

        Weights are read from safetensors alone, and no code of a model is run.
        """
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        cure = "name a local folder with config.json, tokenizer.json and model.safetensors of a sequence classifier"
        if not Path(folder).is_dir():
            raise ValueError(f"the cross-encoder '{folder}' is no folder; {cure}")
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model, said = AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError) as error:
            raise ValueError(f"the cross-encoder '{folder}' can not be read; {cure}: {error}") from error
        if said["missing_keys"]:
            raise ValueError(f"the cross-encoder '{folder}' lacks {', '.join(sorted(said['missing_keys']))}; {cure}")
        return cls(model, tokenizer)

    @classmethod
    def on_text_encoder(cls, name: str) -> "CrossEncoder":
        """A pretrained text encoder under a fresh head of one label. Raises ValueError where it can not be read."""
        from transformers import AutoConfig, AutoModelForSequenceClassification

        from ml.nn.text_encoder import TextEncoder

        encoder = TextEncoder.load(name)
        config = AutoConfig.from_pretrained(name, num_labels=1)
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
        model.base_model.load_state_dict(encoder.model.state_dict())
        return cls(model, encoder.tokenizer)

    def save(self, folder: Path) -> None:
        """Write weights and tokenizer into `folder`, which appears whole or not at all."""
        save_transformer(self.model, self.tokenizer, folder)

    @property
    def nbytes(self) -> int:
        halved = [layer.weight for layer in self.model.modules() if isinstance(layer, HalfLinear)]
        return sum(weight.nbytes for weight in [*self.model.state_dict().values(), *halved])

    def logits(self, asked: Sequence[str], passages: Sequence[str], *, tokens_read: int) -> Tensor:
        """(pairs,), higher where the passage answers; gradients flow where they are enabled. The longer of both texts
        is cut until a pair has at most `tokens_read` tokens."""
        limit = min(tokens_read, self.tokenizer.model_max_length)
        tokens = self.tokenizer(
            [*map(_readable, asked)],
            [*map(_readable, passages)],
            padding=True,
            truncation="longest_first",
            max_length=limit,
            return_tensors="pt",
        ).to(device_of(self.model))
        logits: Tensor = self.model(**tokens).logits
        return logits[:, 0] if self.labels == 1 else logits[:, 1] - logits[:, 0]

    @torch.inference_mode()
    def scores(self, asked: Sequence[str], passages: Sequence[str], *, tokens_read: int) -> NDArray[np.float64]:
        """(pairs,) as `logits`, on torch's threads, in batches of like length."""
        scores = np.zeros(len(passages))
        by_length = sorted(range(len(passages)), key=lambda pair: len(asked[pair]) + len(passages[pair]))
        for begin in range(0, len(by_length), PAIRS_AT_ONCE):
            chosen = by_length[begin : begin + PAIRS_AT_ONCE]
            found = self.logits(
                [asked[pair] for pair in chosen], [passages[pair] for pair in chosen], tokens_read=tokens_read
            )
            scores[chosen] = found.double().cpu().numpy()
        return scores

    def answering(self) -> "CrossEncoder":
        """For inference alone: with weights in bfloat16 where this processor multiplies these faster. Its head is left
        as it is."""
        if not half_precision(torch.device("cpu")):
            return self
        model = copy.deepcopy(self.model)
        for name, layer in list(model.base_model.named_modules()):  # type: ignore[union-attr]
            if isinstance(layer, nn.Linear):
                model.base_model.set_submodule(name, HalfLinear(layer))  # type: ignore[union-attr]
        return CrossEncoder(model.requires_grad_(False), self.tokenizer)


def starting_cross_encoder() -> CrossEncoder:
    """What training begins with: the model in the folder that CROSS_ENCODER of the environment names, else the text
    encoder under a fresh head. Raises ValueError where it can not be read."""
    if folder := os.environ.get("CROSS_ENCODER"):
        return CrossEncoder.load(folder)
    return CrossEncoder.on_text_encoder(encoder_name())


def _readable(text: str) -> str:
    """Half of a surrogate pair is nothing that a tokenizer could read."""
    return text.encode("utf-8", "replace").decode()
