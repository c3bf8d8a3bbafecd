"""Customer service's only door to `ml`."""

from collections.abc import Sequence

from ml.data.chunking import Chunk, chunk_text, sentences

__all__ = ["Chunk", "chunk_text", "rerank", "sentences"]


def rerank(query: str, texts: Sequence[str]) -> list[float] | None:
    """How well each text answers the query, higher is better; None while no re-ranker is there to ask.

    A cross-encoder enters here, and nothing else has to change: searches then go by its scores.
    """
    return None
