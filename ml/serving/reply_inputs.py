"""What a replies model reads: conversations and replies as term counts and pretrained vectors, events as a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from ml.data.batches import EventBatch, make_batch
from ml.data.labelled_texts import language_of
from ml.data.reply_pairs import CustomerEvent, Rows
from ml.data.vocabulary import Vocabulary
from ml.nn.bags import Bags
from ml.nn.text_encoder import TextEncoder
from ml.serving.bm25 import term_counts
from ml.serving.intents import ENCODED
from ml.serving.reply_requests import MOST_CHARACTERS

# A term's place in the network's table is its bucket of BM25 modulo this.
BUCKETS = 2**16
# What was said longer ago, and what a message holds beyond, decides no reply.
MOST_MESSAGES = 20
MOST_EVENTS = 50
# Messages before the last one that count as shortly before it.
SHORTLY_BEFORE = 3
# The messages whose words BM25 asks for, and those that the pretrained encoder reads.
WORDS_OF = 5
MEANING_OF = 3

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class AskedTexts:
    """Conversations: `fields` are the term counts of the last message, of those shortly before and of older ones;
    `query` those that BM25 asks for; `text` (conversations, dimension) pretrained vectors, zeros for languages that the
    encoder was not made for."""

    fields: list[csr_matrix]
    query: csr_matrix
    text: Floats

    def rows(self, rows: Rows) -> "AskedTexts":
        return AskedTexts([counts[rows] for counts in self.fields], self.query[rows], self.text[rows])

    def bags(self) -> Bags:
        """Those of one field after the other's."""
        return bags_of(vstack(self.fields, format="csr"))


@dataclass(frozen=True)
class ReplyTexts:
    counts: csr_matrix
    text: Floats

    def rows(self, rows: Rows) -> "ReplyTexts":
        return ReplyTexts(self.counts[rows], self.text[rows])


def read_conversations(conversations: Sequence[Sequence[str]], encoder: TextEncoder | None) -> AskedTexts:
    """Messages oldest first. Raises ValueError for a conversation without a message."""
    if not all(conversations):
        raise ValueError("conversation is empty; give at least the message that is to be answered")
    kept = [[readable(message) for message in messages[-MOST_MESSAGES:]] for messages in conversations]
    before = -1 - SHORTLY_BEFORE
    fields = [
        [messages[-1] for messages in kept],
        ["\n".join(messages[before:-1]) for messages in kept],
        ["\n".join(messages[:before]) for messages in kept],
    ]
    # The newest first, since the encoder reads the start of a text alone.
    meant = ["\n".join(reversed(messages[-MEANING_OF:])) for messages in kept]
    query = term_counts(["\n".join(messages[-WORDS_OF:]) for messages in kept])
    return AskedTexts([term_counts(field) for field in fields], query, pretrained_vectors(meant, encoder))


def read_replies(replies: Sequence[str], encoder: TextEncoder | None) -> ReplyTexts:
    kept = [readable(reply) for reply in replies]
    return ReplyTexts(term_counts(kept), pretrained_vectors(kept, encoder))


def readable(text: str) -> str:
    """The start of the text; half of a surrogate pair is nothing that a tokenizer could read."""
    return text[:MOST_CHARACTERS].encode("utf-8", "replace").decode()


def pretrained_vectors(texts: Sequence[str], encoder: TextEncoder | None) -> Floats:
    """(texts, dimension): rows of length 1, or of zeros where the encoder was not made for the language; without an
    encoder (texts, 0)."""
    if encoder is None:
        return np.zeros((len(texts), 0), dtype=np.float32)
    # Many are the same text; a blank one gives zeros.
    distinct, place = np.unique([text if language_of(text) in ENCODED else "" for text in texts], return_inverse=True)
    found: Floats = encoder.encode(distinct.tolist())[place]
    return found


def bags_of(counts: csr_matrix) -> Bags:
    """Each text's terms, all with the same weight, scaled to length 1."""
    terms = np.diff(counts.indptr)
    weight = np.repeat(1.0 / np.sqrt(terms.clip(min=1)), terms).astype(np.float32)
    row = counts.indices.astype(np.int64) % BUCKETS
    return Bags(*map(torch.from_numpy, (counts.indptr.astype(np.int64), row, weight)))


def event_vocabulary(events: Sequence[Sequence[CustomerEvent]]) -> Vocabulary:
    every = [event for of_customer in events for event in of_customer]
    items = {event["item"] for event in every if event["item"] is not None}
    return Vocabulary(sorted(items), sorted({event["type"] for event in every}))


def event_batch(events: Sequence[Sequence[CustomerEvent]], vocabulary: Vocabulary) -> EventBatch:
    """The newest MOST_EVENTS of each customer."""
    newest = [of_customer[-MOST_EVENTS:] for of_customer in events]
    length = np.array([len(of_customer) for of_customer in newest], dtype=np.int64)
    shape = len(newest), max(int(length.max(initial=0)), 1)
    item, kind = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    time, value = np.zeros(shape), np.full(shape, np.nan, dtype=np.float32)
    for row, of_customer in enumerate(newest):
        for place, event in enumerate(of_customer):
            item[row, place] = vocabulary.item_codes.get(event["item"] or "", 0)
            kind[row, place] = vocabulary.type_codes.get(event["type"], 0)
            time[row, place] = event["time"]
            value[row, place] = np.nan if event["value"] is None else event["value"]
    return make_batch(item, kind, time, value, length)
