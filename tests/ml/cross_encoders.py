"""A tiny sequence classification model, and lists that it can learn."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import BertProcessing
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from ml.data.passage_lists import PassageLists

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
SUBJECTS = ["refund", "parcel", "invoice", "password", "voucher", "exchange"]
WORDS = ["how", "about", "the", "days", "hours", "working", "please", "see", "takes", "other", *SUBJECTS]


def save_tiny_model(folder: Path, *, labels: int = 1, seed: int = 0) -> Path:
    """A BERT of two small layers with random weights, as an operator would place one."""
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        num_labels=labels,
    )
    torch.manual_seed(seed)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def made_lists(count: int, *, seed: int = 0, start: float = 1_000.0) -> PassageLists:
    """Questions a second apart with six passages each in random order, of which the one with "takes" answers."""
    generator = np.random.default_rng(seed)
    asked, passages, right, fused = [], [], [], []
    for subject in generator.choice(SUBJECTS, count):
        answers = generator.permutation(6) == 0
        asked.append([f"how about the {subject}"] * 6)
        passages.append([f"{subject} {'takes' if each else 'see other'} working days" for each in answers])
        right.append(answers.tolist())
        fused.append(generator.permutation(6).tolist())
    times = [start + second for second in range(count)]
    return PassageLists(asked, passages, right, fused, [6] * count, [str(row) for row in range(count)], times)
