"""Searching 100,000 items over HTTP by words, typos and meaning, with both models live, and the recall of the vectors.

Titles are made of an adjective, a thing and a colour. The vectors of the 2,000 pairs of adjective and thing are the
text encoder's; the fifty items of a pair get its vector with noise, since encoding 100,000 texts takes a core many
minutes. Queries are drawn by Zipf's law from some thousands, so that a part of them is new to the server's process and
has to be encoded.
"""

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from catalog.text_index import index_changed_items
from catalog.text_search import NEIGHBOURS
from catalog.vector_index import WaitingText, store_vectors, waiting_texts
from catalog.vectors import as_text
from serving import engine
from serving.text_vectors import encoder_setting
from tenancy.models import Tenant
from tenancy.scope import current_tenant_id, tenant_scope
from tests.benchmarks import serve
from tests.benchmarks.load import Connection, Question, latencies, percentile
from tests.benchmarks.rankings import train_ranker
from tests.benchmarks.serve import ENVIRONMENT, publish, serving, subject
from tests.conftest import make_client, make_tenant
from tests.database import connected_as, vacuum
from tests.processes import running_worker

ITEMS = serve.ITEMS
CLIENTS = (1, 8)
SECONDS = 10.0
BATCH = 5_000
ADJECTIVES = [
    *("light", "warm", "soft", "heavy", "folding", "waterproof", "padded", "insulated", "vintage", "compact"),
    *("classic", "modern", "wooden", "leather", "woollen", "cotton", "steel", "ceramic", "electric", "wireless"),
    *("portable", "large", "small", "round", "square", "quiet", "sturdy", "elegant", "cheap", "premium", "striped"),
    *("plain", "quilted", "reversible", "adjustable", "stackable", "hooded", "elastic", "thermal", "organic"),
]
THINGS = [
    *("tent", "boots", "jacket", "lamp", "chair", "table", "kettle", "backpack", "bottle", "blanket", "knife"),
    *("rope", "stove", "scarf", "gloves", "helmet", "bicycle", "guitar", "camera", "speaker", "pillow", "curtain"),
    *("carpet", "mirror", "clock", "vase", "basket", "ladder", "hammer", "drill", "saw", "bucket", "hose", "spade"),
    *("notebook", "pencil", "wallet", "umbrella", "sandals", "shirt", "trousers", "dress", "hat", "socks", "towel"),
    *("pan", "plate", "mug", "spoon", "candle"),
]
COLOURS = ("red", "blue", "green", "black", "white", "yellow", "grey", "brown", "orange", "purple")
# Words that no title has, and what is meant by them.
MEANT = ("shelter for camping", "footwear", "something to sit on", "cooking outdoors", "gift for a musician")
QUERIES = 5_000
NOISE = 0.4
INDEX = "item_vector_neighbours"
RECALL_QUERIES = 100
READY_ANSWERS = 30
READY_SECONDS = 90.0
# What nothing matches is answered by what is popular: that is an answer in full as well.
LOOSENED = (None, "corrected", "any_word", "meaning")
STOOD_IN = ("popular", "newest")

FOUND = "SELECT id FROM catalog_match_meaning(%s::vector, %s)"
EXACT = "SELECT id FROM catalog_itemvector WHERE tenant_id = %s ORDER BY embedding <=> %s::vector LIMIT %s"


def measure(*, data: Path | None, full: bool) -> Iterator[dict[str, Any]]:
    seconds = SECONDS * (4 if full else 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tenant = make_tenant()
        fill(tenant)
        publish(tenant, serve.train(folder, walkers=100), model="next-item", task="next_item")
        version = str(publish(tenant, train_ranker(folder), model="search-ranking", task="search_ranking").id)
        key = make_client(tenant).raw_key
        yield recall_record(tenant)
        draws = itertools.count()
        question = Question("search", "searches", lambda turn: request_of(turn, next(draws)), _by_all_parts(version))
        with serving(folder, "inline") as (address, _):
            wait_until_ready(address, key, question)
            inline = {clients: latencies(address, key, question, clients, seconds) for clients in CLIENTS}
        yield record("serve.search.p99_ms", inline)
        with serving(folder, "queue") as (address, _), running_worker(folder / "infer.log", "infer", ENVIRONMENT):
            wait_until_ready(address, key, question)
            queue = {clients: latencies(address, key, question, clients, seconds) for clients in CLIENTS}
        yield record("serve.search.queue_p99_ms", queue)


def _by_all_parts(version: str) -> Any:
    """The check that the re-ranker ordered and that no part of the search had to be stood in for."""

    def check(answer: dict[str, Any]) -> str | None:
        if not answer["items"]:
            return "nothing was found"
        in_full = answer["model_version"] == version and answer["degraded"] in LOOSENED
        return None if in_full or answer["degraded"] in STOOD_IN else f"degraded: {answer['degraded']}"

    return check


def record(name: str, measured: dict[int, list[float]]) -> dict[str, Any]:
    """p99 of one client alone, as in `rankings`, and everything beside it."""
    detail: dict[str, Any] = {"items": ITEMS, "processes": serve.PROCESSES}
    for clients, found in measured.items():
        detail[f"p50_ms_{clients}"] = percentile(found, 50)
        detail[f"p99_ms_{clients}"] = percentile(found, 99)
        detail[f"per_s_{clients}"] = 1000 * clients / float(np.mean(found))
    return {"id": name, "value": detail["p99_ms_1"], "aim": "<= 50 ms", "detail": detail}


def wait_until_ready(address: str, key: str, question: Question) -> None:
    """Until each process has loaded encoder and models, and answers in full; each connection may reach another one."""
    ends, good = time.monotonic() + READY_SECONDS, 0
    while good < READY_ANSWERS:
        answer = Connection(address, key).post(question.path, question.body(good))
        good = good + 1 if question.check(answer) is None else 0
        if time.monotonic() > ends:
            raise AssertionError("searches are still not answered in full")


def request_of(turn: int, number: int) -> dict[str, Any]:
    generator = np.random.default_rng(number)
    query = query_of(int(generator.zipf(1.2)) % QUERIES)
    return {"query": query, "subject": subject(turn)}


def query_of(number: int) -> str:
    """Half of them two words, the others a broad one, three words, a typo, or words that no title has."""
    generator = np.random.default_rng(number)
    adjective, thing, colour = (str(generator.choice(words)) for words in (ADJECTIVES, THINGS, COLOURS))
    swapped = thing[0] + thing[2] + thing[1] + thing[3:]
    kinds = [f"{adjective} {thing}"] * 4 + [thing, f"{adjective} {thing} {colour}", f"{adjective} {swapped}"]
    return str(generator.choice([*kinds, generator.choice(MEANT)]))


def title_of(number: int) -> str:
    pair, place = number % (len(ADJECTIVES) * len(THINGS)), number // (len(ADJECTIVES) * len(THINGS))
    adjective, thing = ADJECTIVES[pair % len(ADJECTIVES)], THINGS[pair // len(ADJECTIVES)]
    return f"{adjective} {thing} {COLOURS[place % len(COLOURS)]} {place}"


def fill(tenant: Tenant) -> None:
    serve.fill(tenant, title=title_of)
    with tenant_scope(tenant.id):
        more = index_changed_items()
    while more:
        with tenant_scope(tenant.id):
            more = index_changed_items()
    fill_vectors(tenant)
    vacuum()


def fill_vectors(tenant: Tenant) -> None:
    """Vectors around those of the pairs of words; their index is built at once, which is faster than row by row."""
    pairs = [" ".join(title_of(number).split()[:2]) for number in range(len(ADJECTIVES) * len(THINGS))]
    middles = dict(zip(pairs, engine.text_encoder().encode(pairs), strict=True))
    generator = np.random.default_rng(0)
    with connected_as("owner"), connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [INDEX])
        (definition,) = cursor.fetchone()
        cursor.execute(f"DROP INDEX {INDEX}")
    for _ in range(0, ITEMS, BATCH):
        with tenant_scope(tenant.id):
            texts = waiting_texts(BATCH)
            store_vectors(texts, near(middles, texts, generator), encoder=encoder_setting())
    with connected_as("owner"), connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '512MB'")
        cursor.execute(definition)


def near(
    middles: dict[str, NDArray[np.float32]], texts: list[WaitingText], generator: np.random.Generator
) -> NDArray[np.float32]:
    """A vector of length 1 for each text, whose cosine to that of its first two words is about 1 / sqrt(1 + NOISE²)."""
    around = np.stack([middles[" ".join(text.text.split()[:2])] for text in texts])
    noise = generator.normal(size=around.shape) * NOISE / np.sqrt(around.shape[1])
    vectors = around / np.linalg.norm(around, axis=1, keepdims=True) + noise
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def recall_record(tenant: Tenant) -> dict[str, Any]:
    """Share of the exact nearest neighbours that the index finds, of as many as a search asks for."""
    queries = [query_of(number) for number in range(RECALL_QUERIES)]
    shares, seconds = [], []
    with tenant_scope(tenant.id), connection.cursor() as cursor:
        for vector in engine.text_encoder().encode(queries):
            text = as_text(vector)
            started = time.perf_counter()
            cursor.execute(FOUND, [text, NEIGHBOURS])
            found = {row[0] for row in cursor.fetchall()}
            seconds.append(time.perf_counter() - started)
            cursor.execute("SET LOCAL enable_indexscan = off")
            cursor.execute(EXACT, [current_tenant_id(), text, NEIGHBOURS])
            shares.append(len(found & {row[0] for row in cursor.fetchall()}) / NEIGHBOURS)
            cursor.execute("SET LOCAL enable_indexscan = on")
    detail = {"items": ITEMS, "queries": RECALL_QUERIES, "neighbours": NEIGHBOURS, "worst": min(shares)}
    detail |= {"p50_ms": 1000 * float(np.median(seconds))}
    return {"id": "serve.search.recall", "value": float(np.mean(shares)), "aim": ">= 0.95", "detail": detail}
