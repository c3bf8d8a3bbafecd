"""Lexemes of English words as PostgreSQL has them, which alone knows how it cut the texts; each word is asked for
once by a process."""

from collections.abc import Sequence

from tenancy.statements import prepared_cursor

LEXEMES = """
    SELECT word, tsvector_to_array(to_tsvector('english', word)) FROM unnest(%s::text[]) AS word"""
# Words that a process remembers; beyond these it begins anew.
MOST_KEPT = 50_000

_kept: dict[str, list[str]] = {}


def lexemes(words: Sequence[str]) -> list[str]:
    """Those of all words, in their order; a word that says nothing has none. `words` as from `analyse`."""
    # Numbers are their own lexemes, and most messages have new ones.
    found = {word: [word] for word in words if word.isascii() and word.isdigit()}
    found |= {word: known for word in words if (known := _kept.get(word)) is not None}
    if new := [word for word in words if word not in found]:
        found |= _read(new)
    return [lexeme for word in words for lexeme in found[word]]


def _read(words: list[str]) -> dict[str, list[str]]:
    with prepared_cursor() as cursor:
        cursor.execute(LEXEMES, [words])
        read: dict[str, list[str]] = dict(cursor.fetchall())
    if len(_kept) + len(read) > MOST_KEPT:
        _kept.clear()
    _kept.update(read)
    return read
