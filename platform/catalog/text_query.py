"""From what a person typed to what the text index is asked: words, their stems, and corrections of mistyped ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import connection

from catalog.text_analysis import analyse, edits, one_edit_away, pairs
from tenancy.scope import current_tenant_id

# Terms beyond these change nothing worth their cost.
MAX_TERMS = 16
SIMILAR_READ = 200
MOST_CORRECTIONS = 3
# Letters from which a word may hold one mistake, and two: shorter ones are too often another word.
ONE_MISTAKE, TWO_MISTAKES = 4, 8

KNOWN = """
    SELECT asked.word, plainto_tsquery('english', asked.word)::text, EXISTS (
        SELECT FROM catalog_itemword AS known
        WHERE known.tenant_id = %s AND known.stem = ANY(tsvector_to_array(to_tsvector('english', asked.word))))
    FROM unnest(%s::text[]) WITH ORDINALITY AS asked(word, place) ORDER BY place
"""

NAMED = """
    SELECT word, stem FROM catalog_itemword
    WHERE tenant_id = %s AND is_name AND word = ANY(%s) ORDER BY length(word) DESC, word"""


@dataclass(frozen=True)
class Term:
    """One word of a query, or one run of characters without spaces. `query` is its part of a tsquery.

    `corrections` are known words that it may have been meant to be; only a word that no item has gets some.
    """

    text: str
    query: str
    corrections: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TextQuery:
    """What remains of a text for the index; no terms where it holds stop words alone."""

    terms: list[Term]

    @property
    def all_terms(self) -> str:
        return " & ".join(f"({term.query})" for term in self.terms)

    @property
    def any_term(self) -> str:
        return " | ".join(f"({term.query})" for term in self.terms)

    @property
    def is_corrected(self) -> bool:
        return any(term.corrections for term in self.terms)

    @property
    def corrected_text(self) -> str | None:
        """The query with the likeliest correction of each mistyped word; None where nothing was corrected."""
        if not self.is_corrected:
            return None
        return " ".join(term.corrections[0] if term.corrections else term.text for term in self.terms)


def read_text_query(text: str) -> TextQuery:
    """One query to the database, and a second one where no item has some of the words."""
    analysed = analyse(text)
    words = list(dict.fromkeys(analysed.words))[:MAX_TERMS]
    runs = list(dict.fromkeys(analysed.runs))[: MAX_TERMS - len(words)]
    return TextQuery([*_word_terms(words), *map(_run_term, runs)])


def _word_terms(words: Sequence[str]) -> list[Term]:
    """Without the stop words."""
    read = [(word, query, is_known) for word, query, is_known in _known_words(words) if query]
    corrections = similar_words([word for word, _, is_known in read if not is_known])
    return [
        Term(word, " | ".join([query, *(f"'{stem}'" for _, stem in near)]), [other for other, _ in near])
        for word, query, _ in read
        for near in [corrections.get(word, [])]
    ]


def _known_words(words: Sequence[str]) -> list[tuple[str, str, bool]]:
    """Each word with its tsquery, and whether an item has it in some form."""
    if not words:
        return []
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, [current_tenant_id(), list(words)])
        return cursor.fetchall()


def _run_term(run: str) -> Term:
    """Its pairs, all of them; a single character is the start of a pair."""
    return Term(run, " & ".join(f"'{pair}'" for pair in pairs(run)) if len(run) > 1 else f"'{run}':*")


def similar_words(words: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """For each word the words of titles, brands and categories that are one mistake away, or else two in a long word,
    with their stems."""
    found = _one_mistake_away([word for word in words if word.isalpha() and len(word) >= ONE_MISTAKE])
    return found | _two_mistakes_away(
        [word for word in words if word.isalpha() and len(word) >= TWO_MISTAKES and word not in found]
    )


def _one_mistake_away(words: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """All that one mistake can make of a short word are some hundred words, and each is looked up."""
    mistyped = {other: word for word in words for other in one_edit_away(word)}
    if not mistyped:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(NAMED, [current_tenant_id(), list(mistyped)])
        return _grouped((mistyped[word], word, stem) for word, stem in cursor.fetchall())


def _two_mistakes_away(words: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Those with similar trigrams, of which a long word keeps enough."""
    if not words:
        return {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM catalog_similar_words(%s, %s)", [list(words), SIMILAR_READ])
        return _grouped(row for row in cursor.fetchall() if edits(row[0], row[1], 2) <= 2)


def _grouped(found: Iterable[tuple[str, str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Of each mistyped word the first few, one for each stem."""
    near: dict[str, dict[str, str]] = {}
    for mistyped, word, stem in found:
        near.setdefault(mistyped, {}).setdefault(stem, word)
    return {
        mistyped: [(word, stem) for stem, word in words.items()][:MOST_CORRECTIONS] for mistyped, words in near.items()
    }
