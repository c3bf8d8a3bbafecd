"""A tiny causal language model made from a configuration: it streams, stops when told, and its errors are heard."""

import threading
import time
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3Config

from ml.serving.generation import GenerationError, TextGenerator

TEMPLATE = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}<s>assistant:"
LINES = ["You can return an item within 30 days of delivery.", "您可以在三十天内退货。"] * 20
ASKED = [{"role": "user", "content": "How many days?"}]


def make_model(folder: Path, *, template: str | None = TEMPLATE, window: int = 512) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="</s>")
    if template:
        fast.chat_template = template
    torch.manual_seed(1)
    config = Qwen3Config(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=window,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> TextGenerator:
    return TextGenerator(make_model(tmp_path_factory.mktemp("model")))


def test_pieces_come_one_after_the_other_and_are_the_same_each_time(generator: TextGenerator) -> None:
    def text() -> str:
        return "".join(generator.stream(ASKED, cancel=threading.Event(), most_tokens=12, seconds=20))

    first = text()
    assert first
    assert first == text()
    assert generator.was_cut_off


def test_tokens_read_and_written_are_counted(generator: TextGenerator) -> None:
    pieces = list(generator.stream(ASKED, cancel=threading.Event(), most_tokens=12, seconds=20))
    assert pieces
    prompt = generator.tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, return_dict=True)
    assert generator.tokens_used == len(prompt["input_ids"]) + 12


def test_whoever_cancels_gets_no_more(generator: TextGenerator) -> None:
    cancel = threading.Event()
    pieces = []
    for piece in generator.stream(ASKED, cancel=cancel, most_tokens=400, seconds=30):
        pieces.append(piece)
        cancel.set()
    whole = list(generator.stream(ASKED, cancel=threading.Event(), most_tokens=400, seconds=30))
    assert len("".join(pieces)) < len("".join(whole))


def test_time_ends_it_too(generator: TextGenerator) -> None:
    started = time.monotonic()
    list(generator.stream(ASKED, cancel=threading.Event(), most_tokens=450, seconds=0.05))
    assert time.monotonic() - started < 10
    assert generator.was_cut_off


def test_a_conversation_that_is_too_long_is_refused_and_not_cut(generator: TextGenerator) -> None:
    long = [{"role": "system", "content": "Promise nothing."}, {"role": "user", "content": "How many days? " * 500}]
    with pytest.raises(GenerationError, match="leave no room for 8 in a window of 512"):
        list(generator.stream(long, cancel=threading.Event(), most_tokens=8, seconds=20))


def test_an_error_of_the_model_is_raised_and_leaves_nobody_waiting(generator: TextGenerator) -> None:
    # An embedding that is too small for the tokens fails inside the other thread.
    weights = generator.model.get_input_embeddings().weight
    kept = weights.data
    weights.data = kept[:2]
    try:
        with pytest.raises(GenerationError):
            list(generator.stream(ASKED, cancel=threading.Event(), most_tokens=8, seconds=20))
    finally:
        weights.data = kept


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="no chat template"):
        TextGenerator(make_model(tmp_path, template=None))
