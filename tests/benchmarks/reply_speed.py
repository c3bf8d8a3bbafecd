"""Replies over HTTP by selection with 10,000 articles and macros, and the text encoder beside the bare model.

Each message is a new one of a new conversation, as customers write, so that each is encoded. The vectors of the sources
are those of their topics with noise, since encoding 10,000 texts takes a core many minutes. Intents are told from
examples: no model of intents is live.
"""

import csv
import io
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import torch
from django.db import connection
from django.utils import timezone
from numpy.typing import NDArray
from uuid_utils.compat import uuid7

from apps.service.conversations.models import Conversation, Message
from apps.service.knowledge import encoding
from apps.service.knowledge.imports import import_files
from apps.service.knowledge.models import Chunk
from apps.service.replies.services import reply_to
from apps.service.understanding.examples import NewExample
from apps.service.understanding.services import add_examples
from behavior.services import store_events
from ml.nn.text_encoder import MOST_TOKENS, TEXTS_AT_ONCE, TextEncoder, encoder_name, pretrained_encoder
from serving import engine, text_vectors
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.benchmarks.cpu import CpuWatch
from tests.benchmarks.load import Question, latencies, percentile
from tests.benchmarks.searches import ADJECTIVES, COLOURS, THINGS
from tests.benchmarks.serve import serving
from tests.conftest import make_client, make_tenant
from tests.database import connected_as, vacuum
from tests.queries import CapturedQueries

SOURCES, MACROS, ROWS_AT_ONCE = 10_000, 2_000, 5_000
CLIENTS = (1, 8)
SECONDS = 8.0
CONVERSATIONS, IN_PROCESS = 6_000, 200
CUSTOMERS = 500
NOISE = 0.4
INDEX = "chunk_neighbours"
MATTERS = {
    "return": "How do I return the {thing}?",
    "repair": "The {thing} that I bought broke yesterday. Can it be repaired?",
    "size": "Does the {thing} come in other sizes?",
    "delivery": "The delivery of my {thing} is late. Where is order {order}?",
    "warranty": "How long is the warranty of the {thing}?",
    "colour": "Is there another colour of the {thing}, such as {colour}?",
    "invoice": "I need the invoice of order {order} for the {thing}.",
    "cleaning": "How is the {thing} cleaned? I do not want to ruin it.",
}
TEXTS, ROUNDS = 256, 3


def measure(*, data: Path | None, full: bool) -> Iterator[dict[str, Any]]:
    yield embedding_record()
    seconds = SECONDS * (4 if full else 1)
    with tempfile.TemporaryDirectory() as name:
        tenant = make_tenant()
        fill(tenant)
        yield cpu_record(tenant)
        key = make_client(tenant).raw_key
        waiting = itertools.cycle(write_messages(tenant, CONVERSATIONS * (4 if full else 1)))
        vacuum()
        question = Question("reply", "replies", lambda turn: {"conversation_id": str(next(waiting))}, _is_selected)
        with serving(Path(name), "inline") as (address, server):
            latencies(address, key, question, max(CLIENTS), 10.0)
            watch = CpuWatch(server)
            found = {clients: latencies(address, key, question, clients, seconds, watch) for clients in CLIENTS}
    # What was watched last: all clients at work.
    detail = {"sources": SOURCES} | watch.per_request(len(found[max(CLIENTS)]))
    detail["per_second"] = 1000 * max(CLIENTS) / float(np.mean(found[max(CLIENTS)]))
    for clients, each in found.items():
        detail |= {f"p50_ms_{clients}": percentile(each, 50), f"p99_ms_{clients}": percentile(each, 99)}
    yield {"id": "service.reply.p99_ms", "value": detail["p99_ms_8"], "aim": "<= 80 ms", "detail": detail}


def _is_selected(answer: dict[str, Any]) -> str | None:
    """A hand-off for lack of evidence would cost less than a reply."""
    return None if answer["backend"] in ("selection", "extractive") else answer["backend"]


def cpu_record(tenant: Tenant) -> dict[str, Any]:
    """CPU time of this process for one reply after the other; the database's is not in it."""
    text_vectors.load_encoder()
    spent, statements = [], []
    for conversation in write_messages(tenant, IN_PROCESS):
        with tenant_scope(tenant.id):
            started = time.process_time()
            reply_to(conversation_id=conversation)
            spent.append(1000 * (time.process_time() - started))
    for conversation in write_messages(tenant, IN_PROCESS // 10):
        with tenant_scope(tenant.id), CapturedQueries() as queries:
            reply_to(conversation_id=conversation)
        statements.append(len(queries))
    settled = spent[IN_PROCESS // 10 :]
    detail = {"p95_ms": percentile(settled, 95), "encoding_ms": encoding_ms(), "statements": min(statements)}
    detail["sources"] = SOURCES
    return {"id": "service.reply.cpu_ms", "value": percentile(settled, 50), "detail": detail}


def encoding_ms() -> float:
    """CPU time that the encoder itself takes for one such message, the median."""
    encoder, spent = text_vectors.usable_encoder(), []
    for number in range(50):
        started = time.process_time()
        encoder.encode([message_of(number)])
        spent.append(1000 * (time.process_time() - started))
    return percentile(spent, 50)


def embedding_record() -> dict[str, Any]:
    """Texts a second of the encoder as the product calls it, over those of tokenizer and model called directly."""
    encoder, original = engine.text_encoder(), pretrained_encoder(encoder_name())
    texts = [f"{title_of(number)}\n{body_of(number)}" for number in range(TEXTS)]
    bare, ours = [], []
    for _ in range(ROUNDS):
        bare.append(_cpu_seconds(lambda: call_directly(original, texts)))
        ours.append(_cpu_seconds(lambda: encoder.encode(texts)))
    detail = {"texts": TEXTS, "texts_at_once": TEXTS_AT_ONCE, "ours_per_s": TEXTS / min(ours)}
    return {"id": "service.embedding.ratio", "value": min(bare) / min(ours), "aim": ">= 0.9", "detail": detail}


def call_directly(encoder: TextEncoder, texts: Sequence[str]) -> None:
    with torch.inference_mode():
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            batch = list(texts[begin : begin + TEXTS_AT_ONCE])
            tokens = encoder.tokenizer(
                batch, padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt"
            )
            encoder.model(**tokens)


def _cpu_seconds(work: Any) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def matter_of(number: int) -> str:
    return list(MATTERS)[number % len(MATTERS)]


def thing_of(number: int) -> str:
    pair = number // len(MATTERS)
    return f"{ADJECTIVES[pair % len(ADJECTIVES)]} {THINGS[pair // len(ADJECTIVES) % len(THINGS)]}"


def title_of(number: int) -> str:
    return f"{matter_of(number).capitalize()} of the {thing_of(number)}, part {number}"


def body_of(number: int) -> str:
    if number < MACROS:
        return (
            f"About the {matter_of(number)} of your {thing_of(number)}: order {{{{order.id}}}} is {{{{order.status}}}}."
        )
    return (
        f"What there is to know of the {matter_of(number)} of a {thing_of(number)}. Our desk helps with it on working "
        f"days. Keep the label of the {thing_of(number)} until the matter is settled."
    )


def message_of(number: int) -> str:
    """One of a kind: its order's id is in it, or a remark."""
    colour = COLOURS[number % len(COLOURS)]
    text = MATTERS[matter_of(number * 3)].format(thing=thing_of(number * 31), order=f"B-{number}", colour=colour)
    return f"{text} My number is {number}."


def fill(tenant: Tenant) -> None:
    for begin in range(0, SOURCES, ROWS_AT_ONCE):
        with tenant_scope(tenant.id):
            import_files(files=[("sources.csv", csv_of(begin))], actor="benchmark", kind="article", publish=True)
    fill_vectors(tenant)
    examples = [NewExample(message_of(number * 7), matter_of(number * 21)) for number in range(200)]
    events = [
        {
            "message_id": f"order-{number}",
            "type": "order_shipped",
            "subject": {"user_id": f"customer-{number}"},
            "properties": {"order_id": f"B-{number}", "tracking_number": f"T-{number}"},
        }
        for number in range(CUSTOMERS)
    ]
    with tenant_scope(tenant.id):
        encoding.count_terms()
        add_examples(examples=examples, actor="benchmark", create_intents=True)
        store_events(events=events, source="benchmark")
    vacuum()


def csv_of(begin: int) -> str:
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(["id", "kind", "title", "body"])
    for number in range(begin, begin + ROWS_AT_ONCE):
        kind = "macro" if number < MACROS else "article"
        rows.writerow([f"source-{number}", kind, title_of(number), body_of(number)])
    return written.getvalue()


def fill_vectors(tenant: Tenant) -> None:
    """Vectors of the topics with noise; the index is built at once, which is faster than row by row."""
    with tenant_scope(tenant.id):
        rows = list(Chunk.objects.values_list("id", "source__external_id"))
    numbers = np.array([int(name.partition("-")[2]) for _, name in rows])
    encode = engine.text_encoder().encode
    things = [thing_of(number) for number in range(0, SOURCES, len(MATTERS))]
    of_thing, of_matter = encode(things), encode(list(MATTERS))
    middles = of_thing[numbers // len(MATTERS)] + of_matter[numbers % len(MATTERS)]
    vectors = near(middles)
    with connected_as("owner"), connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [INDEX])
        (definition,) = cursor.fetchone()
        cursor.execute(f"DROP INDEX {INDEX}")
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        some = slice(begin, begin + ROWS_AT_ONCE)
        with tenant_scope(tenant.id):
            encoding.store_vectors([id for id, _ in rows[some]], vectors[some])
    with connected_as("owner"), connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '256MB'")
        cursor.execute(definition)


def near(middles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of length 1 around the middles."""
    noise = np.random.default_rng(0).normal(size=middles.shape) * NOISE / np.sqrt(middles.shape[1])
    vectors = middles / np.linalg.norm(middles, axis=1, keepdims=True) + noise
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


_numbers = itertools.count()


def write_messages(tenant: Tenant, count: int) -> list[UUID]:
    """Conversations of one message each that nobody has answered."""
    now = timezone.now() - timedelta(minutes=1)
    with tenant_scope(tenant.id):
        conversations = [
            Conversation(
                subject_key=subject_key("user_id", f"customer-{number % CUSTOMERS}"),
                channel="web",
                message_count=1,
                opened_at=now,
                last_message_at=now,
                waiting_since=now,
            )
            for number in range(count)
        ]
        Conversation.objects.bulk_create(conversations)
        Message.objects.bulk_create(
            Message(
                conversation=each,
                number=1,
                role="customer",
                text=message_of(next(_numbers)),
                client_id="m-1",
                event_id=uuid7(),
                created_at=now,
            )
            for each in conversations
        )
    return [each.id for each in conversations]
