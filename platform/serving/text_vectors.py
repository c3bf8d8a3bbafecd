"""Texts as vectors: those of the catalogue's items in the background, those of queries within a request.

With the transport `queue` a query's text goes to an inference worker, so that a web process needs no torch; with
`inline` this process encodes it. No failure becomes an exception: a search then goes by words alone.
"""

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import structlog
from django.conf import settings
from numpy.typing import NDArray

from catalog.models import VECTOR_DIMENSION
from catalog.vector_index import forget_other_encoders, has_vectors, store_vectors, waiting_texts
from ml.serving.gathering import Gatherer
from serving import engine, inbox
from serving.breaker import CircuitBreaker
from serving.inbox import AnswerFailed, NoAnswer
from tenancy.tasks import task_scope

if TYPE_CHECKING:
    from ml.nn.text_encoder import TextEncoder

log = structlog.get_logger(__name__)

# Texts encoded in one transaction, and seconds after which a task gives way to others.
SLICE = 32
TURN_SECONDS = 10.0
# One worker encodes for all tenants, so that each of the others may have its turn first.
MAY_WAIT = 600.0  # seconds
# Vectors of queries that a process keeps: 1.5 KB each.
MOST_KEPT = 4_000
# A query longer than this is cut: its first words say what is wanted.
QUERY_READ = 300
RETRY_SECONDS = 60.0

Vector = NDArray[np.float32]

_workers = CircuitBreaker(misses=3, probe_seconds=1.0)
_kept: OrderedDict[str, Vector] = OrderedDict()
_lock = threading.Lock()


class _Loader:
    """Loads the encoder in a thread, since that takes seconds which no request has."""

    def __init__(self) -> None:
        self.encoder: TextEncoder | None = None
        self.loading = False
        self.due = 0.0
        self.lock = threading.Lock()

    def get(self) -> "TextEncoder | None":
        """The encoder; None while it loads, and for a while after it could not be loaded."""
        with self.lock:
            if self.encoder is None and not self.loading and time.monotonic() >= self.due:
                self.loading = True
                threading.Thread(target=self.load, name="text-encoder", daemon=True).start()
            return self.encoder

    def load(self) -> None:
        try:
            self.encoder = usable_encoder()
        except Exception:
            self.due = time.monotonic() + RETRY_SECONDS
            log.exception("text_encoder_not_loaded")
        finally:
            self.loading = False


_loader = _Loader()


def encoder_setting() -> str:
    """Names what TEXT_ENCODER says, 16 characters; vectors of different settings do not compare."""
    return hashlib.sha256(os.environ.get("TEXT_ENCODER", "").encode()).hexdigest()[:16]


def usable_encoder() -> "TextEncoder":
    """The text encoder of this process. Raises ValueError where there is none that fits the catalogue's vectors."""
    encoder = engine.text_encoder()
    if encoder.dimension != VECTOR_DIMENSION:
        raise ValueError(
            f"TEXT_ENCODER gives vectors of {encoder.dimension} numbers where search by meaning takes "
            f"{VECTOR_DIMENSION}; name another encoder, or search goes by words alone"
        )
    return encoder


def load_encoder() -> None:
    """Have the encoder in memory before the first question comes."""
    _loader.load()


def query_vector(text: str) -> Vector | None:
    """The text's vector as `text_vector` gives it; None where no item has one to compare."""
    return text_vector(text) if has_vectors() else None


def text_vector(text: str) -> Vector | None:
    """The text's vector of length 1, (VECTOR_DIMENSION,); None where none can be had in time, or the text is blank."""
    return text_vectors([text])[0]


def text_vectors(texts: Sequence[str]) -> list[Vector | None]:
    """As `text_vector`, for several texts at once, in their order."""
    cut = [text[:QUERY_READ] for text in texts]
    with _lock:
        found = {text: _kept[text] for text in cut if text in _kept}
        for text in found:
            _kept.move_to_end(text)
    missing = [text for text in dict.fromkeys(cut) if text not in found]
    if missing:
        new = dict(zip(missing, _encode(missing) or (), strict=False))
        found |= new
        with _lock:
            _kept.update((text, vector) for text, vector in new.items() if vector.any())
            while len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
    return [vector if (vector := found.get(text)) is not None and vector.any() else None for text in cut]


def _encode(texts: list[str]) -> Sequence[Vector] | None:
    """A vector for each text; None where nobody gives any."""
    if settings.GATEWAY_TRANSPORT == "inline":
        return _encode_inline(texts)
    if not _workers.allows():
        return None
    try:
        answer = inbox.ask_vectors(texts, seconds=settings.GATEWAY_DEADLINE)
    except NoAnswer as error:
        _workers.failed()
        log.info("no_query_vector", reason=str(error))
        return None
    except AnswerFailed as error:
        _workers.succeeded()
        log.warning("query_not_encoded", reason=str(error))
        return None
    _workers.succeeded()
    return list(np.array(answer, dtype=np.float32))


def _encode_inline(texts: list[str]) -> Sequence[Vector] | None:
    try:
        return _gatherer.ask(texts)
    except Exception:
        log.exception("query_not_encoded")
        return None


def _encode_together(asked: list[list[str]]) -> list[Sequence[Vector] | None]:
    """What several threads ask of the encoder at the same time, in one pass: it reads its weights once for all."""
    vectors = encode_if_loaded([text for texts in asked for text in texts])
    if vectors is None:
        return [None] * len(asked)
    ends = np.cumsum([len(texts) for texts in asked])
    return [list(part) for part in np.split(vectors, ends[:-1])]


_gatherer: Gatherer[list[str], Sequence[Vector] | None] = Gatherer(_encode_together)


def encode_if_loaded(texts: Sequence[str]) -> Vector | None:
    """(N, VECTOR_DIMENSION); None while the encoder loads."""
    encoder = _loader.get()
    return None if encoder is None else encoder.encode(texts)


def some_wait() -> bool:
    """Whether texts of the task's tenant have no vector of the encoder that is set."""
    with task_scope():
        forget_other_encoders(encoder_setting())
        return bool(waiting_texts(1))


def encode_waiting() -> int:
    """Encode texts of the task's tenant for some seconds, and return how many these were."""
    try:
        encoder = usable_encoder()
    except ValueError as error:
        log.warning("texts_not_encoded", reason=str(error))
        return 0
    ends = time.monotonic() + TURN_SECONDS
    encoded = 0
    while time.monotonic() < ends:
        with task_scope():
            texts = waiting_texts(SLICE)
            if texts:
                store_vectors(texts, encoder.encode([text.text for text in texts]), encoder=encoder_setting())
        encoded += len(texts)
        if len(texts) < SLICE:
            break
    return encoded
