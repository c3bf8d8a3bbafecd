"""Vectors of texts that were encoded before, so that only new and changed ones cost anything."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float16]

# Looked up, encoded and stored at a time, so that an interrupted run has lost no more.
BLOCK = 500
# The oldest go when there are more: 384 numbers of two bytes each make this 0.8 GB.
MOST_TEXTS = 1_000_000
WAIT_SECONDS = 60.0


class Encoder(Protocol):
    @property
    def identity(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class TextCache:
    """A file of vectors by the hash of text and encoder. Several processes may use it at a time; losing it costs time
    only."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def encode(
        self, texts: Sequence[str], encoder: Encoder, *, tick: Callable[[int, int], None] = lambda done, total: None
    ) -> Vectors:
        """(texts, dimension) in the order of the texts; `tick(done, total)` is called after each block of new ones."""
        keys = [_key(text, encoder) for text in texts]
        text_of = dict(zip(keys, texts, strict=True))
        with self._open() as database:
            known = _look_up(database, list(text_of))
            # Short ones first, so that each block holds texts of like length.
            missing = sorted(text_of.keys() - known.keys(), key=lambda key: (len(text_of[key]), key))
            for block in _blocks(missing):
                vectors = encoder.encode([text_of[key] for key in block]).astype(np.float16)
                rows = {key: vector.tobytes() for key, vector in zip(block, vectors, strict=True)}
                with database:
                    database.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?)", rows.items())
                known |= rows
                tick(len(known), len(text_of))
            if missing:
                _forget_oldest(database)
        found = np.zeros((len(texts), encoder.dimension), dtype=np.float16)
        for row, key in enumerate(keys):
            found[row] = np.frombuffer(known[key], dtype=np.float16)
        return found

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            database = self._connect()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            # What is no database any more is only a cache.
            self.path.unlink()
            database = self._connect()
        with closing(database):
            yield database

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=WAIT_SECONDS)
        with database:
            database.execute("CREATE TABLE IF NOT EXISTS vector (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        return database


def _key(text: str, encoder: Encoder) -> bytes:
    return hashlib.sha256(f"{encoder.identity}\x00{text}".encode()).digest()


def _look_up(database: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for block in _blocks(keys):
        places = ", ".join("?" * len(block))
        found.update(database.execute(f"SELECT key, vector FROM vector WHERE key IN ({places})", block))
    return found


def _forget_oldest(database: sqlite3.Connection) -> None:
    with database:
        database.execute("DELETE FROM vector WHERE rowid <= (SELECT max(rowid) FROM vector) - ?", [MOST_TEXTS])


def _blocks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for begin in range(0, len(keys), BLOCK):
        yield keys[begin : begin + BLOCK]
