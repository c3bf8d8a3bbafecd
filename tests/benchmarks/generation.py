"""Writing a reply: time to the first piece and tokens a second of the engine's stream, beside the bare `transformers`
call with the same model, prompt and count of tokens.

The model is made from a configuration, with random weights and no end token, so that both write the same count. The
two take turns, and the ratios are taken round by round.
"""

import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3Config
from transformers.generation.streamers import BaseStreamer

from ml.serving.generation import TextGenerator
from tests.benchmarks.records import Record

ROUNDS, TOKENS, WINDOW = 7, 96, 2_048
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
MESSAGES = [
    {"role": "system", "content": "Answer from the sources alone. " * 8},
    {"role": "user", "content": "An item can be returned within thirty days of delivery. " * 8},
]


@dataclass(frozen=True)
class Timing:
    """Seconds until the first token, and tokens a second after it."""

    first: float
    rate: float


class Clock(BaseStreamer):
    """When the prompt and each token of a bare call came."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


def measure(*, data: Path | None, full: bool) -> list[Record]:
    with tempfile.TemporaryDirectory() as name:
        generator = TextGenerator(make_model(Path(name)))
        bare(generator), streamed(generator)
        rounds = [(streamed(generator), bare(generator)) for _ in range(ROUNDS)]
    weights = sum(weight.numel() for weight in generator.model.parameters())
    return [
        record("first_token_ms", [(1000 * ours.first, 1000 * theirs.first) for ours, theirs in rounds], weights),
        record("tokens_per_s", [(ours.rate, theirs.rate) for ours, theirs in rounds], weights),
    ]


def record(name: str, pairs: list[tuple[float, float]], weights: int) -> Record:
    ours = [our for our, _ in pairs]
    ratios = [our / their for our, their in pairs]
    return {
        "id": f"service.generation.{name}",
        "value": statistics.median(ours),
        "spread": statistics.stdev(ours),
        "seeds": len(ours),
        "peer": {"name": "transformers generate", "value": statistics.median(their for _, their in pairs)},
        "detail": {"ratio": statistics.median(ratios), "tokens": TOKENS, "parameters": weights},
    }


def streamed(generator: TextGenerator) -> Timing:
    """The first piece of text; where letters of several tokens make one character, it comes later than a token."""
    started = time.perf_counter()
    times = [
        time.perf_counter()
        for _ in generator.stream(MESSAGES, cancel=threading.Event(), most_tokens=TOKENS, seconds=600.0)
    ]
    return Timing(times[0] - started, (TOKENS - 1) / (times[-1] - times[0]))


def bare(generator: TextGenerator) -> Timing:
    started = time.perf_counter()
    prompt = generator.tokenizer.apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    clock = Clock()
    with torch.inference_mode():
        generator.model.generate(**prompt.to(generator.device), max_new_tokens=TOKENS, do_sample=False, streamer=clock)
    # The prompt comes first.
    tokens = clock.times[1:]
    return Timing(tokens[0] - started, (TOKENS - 1) / (tokens[-1] - tokens[0]))


def make_model(folder: Path) -> Path:
    """About 25 million weights; each byte is a token and a whole letter."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.chat_template = TEMPLATE
    torch.manual_seed(1)
    config = Qwen3Config(
        vocab_size=len(letters),
        hidden_size=512,
        intermediate_size=1_536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=WINDOW,
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=None,
    )
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
