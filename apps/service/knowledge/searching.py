"""Finding passages: candidates by full text and by meaning, fused by rank, re-ranked sentence by sentence, the best of
them read beside the question by a cross-encoder; each stage timed and switchable."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection

from apps.service.engine import (
    ASKED_READ,
    Vector,
    asked_beside,
    chunk_text,
    cross_encode,
    distinct,
    may_cross_encode,
    passage_text,
    question_sentences,
    rerank,
    sentences,
)
from apps.service.knowledge.indexing import PUBLIC, language_of, readable_languages, segment_reader
from apps.service.knowledge.models import SourceAudience, SourceLanguage
from apps.service.knowledge.remembered import chunk_vectors
from apps.service.knowledge.usual import usual_question
from catalog.text_analysis import analyse, pairs
from catalog.vectors import as_text, from_sent
from serving.text_vectors import encoder_setting, text_vectors
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

FULL_TEXT, DENSE, FUSE, RERANK, CROSS_ENCODE = "full_text", "dense", "fuse", "rerank", "cross_encode"
STAGES = (FULL_TEXT, DENSE, FUSE, RERANK, CROSS_ENCODE)
LONGEST_QUERY = 10_000
MOST_PASSAGES = 50
# Passages that a cross-encoder is shown at most; it reads as many of the first as it was trained to.
MOST_CROSSED = 50
# Candidates of each list, and of the fused one, all of which are re-ranked.
CANDIDATES = 200
# Passages whose texts are read at most, for the asked-for number of passages: some may be left out.
LEAST_READ, READ_SHARE = 30, 3
# Terms that are read of a query, of words and of pairs each.
MOST_TERMS = 600
# Sentences of a message that are read at most, in pieces of what the encoder reads at once; the neighbours of the whole
# message are looked up, and those of its first sentences.
PIECE_WIDTH, MOST_SENTENCES, MOST_LOOKUPS = 300, 48, 12
# Neighbours of the whole message, and of each sentence.
NEIGHBOURS, NEIGHBOURS_OF_SENTENCE = 100, 20
# Chunks with one of the rarest terms, so many at most, are ranked by all terms.
MOST_MATCHES = 300
# Of one source so many passages at most, so that a long article leaves room for others.
PASSAGES_OF_SOURCE = 2
# Reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): the sum of 1 / (60 + rank) over the rankings.
FUSION = 60
# What shares no word with the query and lies further away is no answer to it. Judged after fusion and re-ranking.
LEAST_SIMILARITY = 0.3
LONGEST_QUOTE = 400

# Weights are inverse frequencies as in BM25 (Robertson and Zaragoza, 2009), times how rare a term is in questions (as
# `ml.serving.passages.rarity`). The weightiest terms choose the candidates.
BY_WORDS = """
    WITH given AS (
        SELECT unnest(tsvector_to_array(to_tsvector('english', word))) AS term FROM unnest(%(words)s::text[]) AS word
        UNION SELECT unnest(%(pairs)s::text[])
    ),
    counted AS (
        SELECT given.term, coalesce(known.chunks, 1) AS chunks,
            greatest((SELECT chunks FROM service_termcount WHERE tenant_id = %(tenant)s AND term = ''), 1) AS total,
            CASE WHEN %(questions)s::integer = 0 THEN 1 ELSE greatest(0, ln((%(questions)s::integer + 1)
                / (coalesce((%(usual)s::jsonb ->> given.term)::integer, 0) + 0.5))) END AS rarity
        FROM given LEFT JOIN service_termcount AS known ON known.tenant_id = %(tenant)s AND known.term = given.term
    ),
    weighed AS (
        SELECT term, chunks, rarity * ln(1 + (greatest(total, chunks) - chunks + 0.5) / (chunks + 0.5)) AS weight
        FROM counted
    ),
    ordered AS (
        SELECT term, weight, sum(chunks) OVER heaviest AS reached, row_number() OVER heaviest AS place
        FROM weighed WINDOW heaviest AS (ORDER BY weight DESC, term)
    ),
    asked AS (
        SELECT string_agg(quote_literal(term), ' | ') FILTER (WHERE place = 1 OR reached <= %(most)s) AS query,
            array_agg(term) AS terms, array_agg(weight::float8) AS weights
        FROM ordered
    )
    SELECT found.id, found.relevance FROM asked CROSS JOIN LATERAL service_match_words(
        asked.query::tsquery, asked.terms, asked.weights, %(readers)s, %(kinds)s, %(language)s, %(most)s) AS found
    ORDER BY found.relevance DESC, found.id LIMIT %(candidates)s"""
BY_MEANING = """
    SELECT found.id, max(found.similarity) AS similarity
    FROM unnest(%(vectors)s::text[], %(neighbours)s::integer[]) AS asked(vector, neighbours)
    CROSS JOIN LATERAL service_match_meaning(
        asked.vector::vector, %(readers)s, %(kinds)s, %(language)s, asked.neighbours) AS found
    GROUP BY found.id ORDER BY similarity DESC, found.id LIMIT %(candidates)s"""
VECTORS = """
    SELECT id, vector_send(embedding) FROM service_chunk
    WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s) AND encoder = %(encoder)s AND embedding IS NOT NULL"""

# What is asked of a source is looked at once more: what was retired since its chunks were found is not told.
PASSAGES = """
    SELECT chunk.id, chunk.source_id, chunk.kind, chunk.headings, chunk.text, source.title, source.version
    FROM unnest(%s::uuid[]) AS wanted(id)
    JOIN service_chunk AS chunk ON chunk.tenant_id = %s AND chunk.id = wanted.id
    JOIN service_source AS source ON source.tenant_id = chunk.tenant_id AND source.id = chunk.source_id
    WHERE source.status = 'published' AND (source.valid_from IS NULL OR source.valid_from <= now())
        AND (source.valid_until IS NULL OR now() < source.valid_until)"""
COLUMNS = ("id", "source_id", "kind", "headings", "text", "title", "version")


@dataclass(frozen=True)
class Passage:
    """A part of a source that may answer a query, of which `asked` has the `beginnings`.

    `score` is that of the last stage that judged it. `stages` has each stage's: full_text (relevance), dense (cosine),
    fuse, rerank, cross_encode (probability); None where a stage did not find or judge it.
    """

    chunk_id: UUID
    source_id: UUID
    version: int
    kind: str
    title: str
    text: str
    score: float
    stages: dict[str, float | None]
    asked: Set[str] = field(default=frozenset(), repr=False)

    @cached_property
    def quote(self) -> str:
        """An excerpt of `text`, word for word; of most passages nobody asks for it."""
        return quote_of(self.text, self.asked)


@dataclass
class Stage:
    """Whether a stage ran, else why not; how many passages it gave, and what it took."""

    name: str
    ran: bool
    reason: str = ""
    found: int = 0
    milliseconds: float = 0.0


@dataclass(frozen=True)
class Search:
    passages: list[Passage]
    stages: list[Stage] = field(default_factory=list)


@dataclass(frozen=True)
class _Ask:
    query: str
    readers: list[str] | None
    kinds: list[str] | None
    language: str

    def values(self, **others: Any) -> dict[str, Any]:
        return {
            "tenant": current_tenant_id(),
            "readers": self.readers,
            "kinds": self.kinds,
            "language": self.language,
            "candidates": CANDIDATES,
        } | others

    @property
    def vectors(self) -> list[Vector]:
        """Of the query's sentences. Raises _NotRun without any."""
        return [vector for _, vector in self.read]

    @cached_property
    def read(self) -> list[tuple[str, Vector]]:
        """The query's sentences with their vectors, read once for all stages. Raises _NotRun without any."""
        if language_of(self.query, self.language or SourceLanguage.ENGLISH) not in readable_languages():
            raise _NotRun("no text encoder for this language is configured")
        pieces = [
            piece.text
            for sentence in question_sentences(self.query)
            for piece in chunk_text(sentence, width=PIECE_WIDTH)
        ]
        pieces = pieces[:MOST_SENTENCES]
        vectors = zip(pieces, text_vectors(pieces), strict=True)
        found = [(piece, vector) for piece, vector in vectors if vector is not None]
        if not found:
            raise _NotRun("the text encoder gave no vector in time")
        return found


Ranking = dict[UUID, float]


class _NotRun(Exception):
    """A stage has nothing to work with; the message says what is missing."""


def search_in_stages(
    query: str,
    *,
    language: str | None = None,
    audience: str = SourceAudience.PUBLIC,
    segments: Collection[str] = (),
    count: int = 5,
    kinds: Collection[str] | None = None,
    stages: Collection[str] = STAGES,
) -> Search:
    """The best passages that this audience may see, and what each stage did. See `selectors.search`."""
    readers = None if audience == SourceAudience.AGENTS else [PUBLIC, *map(segment_reader, segments)]
    ask = _Ask(query[:LONGEST_QUERY], readers, list(kinds) if kinds is not None else None, language or "")
    did: list[Stage] = []
    words = _run(did, FULL_TEXT, stages, lambda: _by_words(ask))
    meaning = _run(did, DENSE, stages, lambda: _by_meaning(ask))
    fused = _run(did, FUSE, stages, lambda: _fuse(words, meaning))
    candidates = list(fused or words | meaning)[:CANDIDATES]
    judged = _run(did, RERANK, stages, lambda: _rerank(ask, candidates, words))
    best = sorted(candidates, key=lambda id: -judged[id]) if judged else candidates
    rows = _read(best[: max(LEAST_READ, READ_SHARE * count)])
    best = [id for id in best if id in rows and (id in words or meaning[id] >= LEAST_SIMILARITY)]
    crossed = _run(did, CROSS_ENCODE, stages, lambda: _cross_encode(ask, [rows[id] for id in best]))
    best = [*crossed, *(id for id in best if id not in crossed)]
    asked = beginnings(ask.query)
    passages = []
    of_source: Counter[UUID] = Counter()
    for id in best:
        of_source[rows[id]["source_id"]] += 1
        if of_source[rows[id]["source_id"]] > PASSAGES_OF_SOURCE:
            continue
        by_stage = {FULL_TEXT: words, DENSE: meaning, FUSE: fused, RERANK: judged, CROSS_ENCODE: crossed}
        passages.append(_passage(asked, rows[id], {name: found.get(id) for name, found in by_stage.items()}))
        if len(passages) == count:
            break
    return Search(passages, did)


def read_beside(query: str, ids: list[UUID], *, language: str | None) -> list[str]:
    """What a cross-encoder reads of the query beside each of these chunks."""
    try:
        return _asked_beside(_Ask(query[:LONGEST_QUERY], None, None, language or ""), ids)
    except _NotRun:
        return [query[:ASKED_READ]] * len(ids)


def _run(did: list[Stage], name: str, wanted: Collection[str], work: Callable[[], Ranking]) -> Ranking:
    started = time.perf_counter()
    stage = Stage(name, ran=name in wanted, reason="" if name in wanted else "switched off")
    found: Ranking = {}
    try:
        found = work() if stage.ran else {}
    except _NotRun as error:
        stage.ran, stage.reason = False, str(error)
    stage.found = len(found)
    stage.milliseconds = (time.perf_counter() - started) * 1000
    did.append(stage)
    return found


def _by_words(ask: _Ask) -> Ranking:
    words, terms = _terms(ask.query)
    if not words and not terms:
        raise _NotRun("the query has no words")
    usual = usual_question()
    with prepared_cursor() as cursor:
        values = ask.values(words=words, pairs=terms, most=MOST_MATCHES, questions=usual.questions, usual=usual.terms)
        cursor.execute(BY_WORDS, values)
        return dict(cursor.fetchall())


def _terms(query: str) -> tuple[list[str], list[str]]:
    """Words, and pairs of characters of what is written without spaces; each once, so many at most."""
    analysed = analyse(query)
    words = list(dict.fromkeys(analysed.words))[:MOST_TERMS]
    found = dict.fromkeys(term for run in analysed.runs for term in pairs(run) or [run])
    return words, list(found)[:MOST_TERMS]


def _by_meaning(ask: _Ask) -> Ranking:
    asked = ask.vectors
    # Its length does not matter: what is compared is the angle.
    lookups = [np.mean(asked, axis=0), *asked[:MOST_LOOKUPS]] if len(asked) > 1 else asked
    neighbours = [NEIGHBOURS] + [NEIGHBOURS_OF_SENTENCE] * (len(lookups) - 1)
    if (remembered := chunk_vectors()) is not None:
        found = remembered.nearest(
            list(zip(lookups, neighbours, strict=True)), readers=ask.readers, kinds=ask.kinds, language=ask.language
        )
        return dict(islice(found.items(), CANDIDATES))
    vectors = [as_text(vector.tolist()) for vector in lookups]
    with connection.cursor() as cursor:
        cursor.execute(BY_MEANING, ask.values(vectors=vectors, neighbours=neighbours))
        return dict(cursor.fetchall())


def _fuse(*rankings: Ranking) -> Ranking:
    """The best of each ranking, best first."""
    scores: Ranking = {}
    for ranking in rankings:
        for rank, id in enumerate(ranking, start=1):
            scores[id] = scores.get(id, 0.0) + 1 / (FUSION + rank)
    best = sorted(scores, key=lambda id: (-scores[id], id))
    return {id: scores[id] for id in best[:CANDIDATES]}


def _read(ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """The chunks with what is asked of their sources."""
    with prepared_cursor() as cursor:
        cursor.execute(PASSAGES, [list(ids), current_tenant_id()])
        return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in cursor.fetchall()}


def _rerank(ask: _Ask, ids: list[UUID], words: Ranking) -> Ranking:
    """Each sentence of the query beside each candidate."""
    if not ids:
        raise _NotRun("there is nothing to re-rank")
    asked = ask.vectors
    vectors = _vectors(ids)
    if not vectors:
        raise _NotRun("no candidate has a vector yet")
    relevance = [words.get(id, 0.0) for id in ids]
    scores = rerank(asked, [vectors.get(id) for id in ids], relevance, usual_question().vector)
    return dict(zip(ids, scores, strict=True))


def _cross_encode(ask: _Ask, rows: Sequence[dict[str, Any]]) -> Ranking:
    """The question beside each of the best passages; how probably these answer it, in the new order."""
    if not may_cross_encode():
        raise _NotRun("no cross-encoder is live")
    if not rows:
        raise _NotRun("there is nothing to read")
    ids = [row["id"] for row in rows[:MOST_CROSSED]]
    passages = [passage_text(row["title"], row["text"]) for row in rows[:MOST_CROSSED]]
    answer = cross_encode(_asked_beside(ask, ids), passages)
    if answer is None:
        raise _NotRun("the cross-encoder did not answer in time")
    judged = sorted(zip(answer["scores"], ids, answer["probabilities"], strict=False), key=lambda each: -each[0])
    return {id: probability for _, id, probability in judged}


def _asked_beside(ask: _Ask, ids: list[UUID]) -> list[str]:
    """What is read of the query beside each passage: all of it, or of a long one the sentences nearest to it."""
    asked, sentences_of_query = np.stack(ask.vectors), [text for text, _ in ask.read]
    if len(ask.query) <= ASKED_READ:
        return [ask.query] * len(ids)
    moved = distinct(asked, usual_question().vector)
    vectors, anywhere = _vectors(ids), asked.mean(axis=0)
    return [asked_beside(sentences_of_query, moved, vectors.get(id, anywhere)) for id in ids]


def _vectors(ids: Sequence[UUID]) -> dict[UUID, Vector]:
    if (remembered := chunk_vectors()) is not None:
        return remembered.of(ids)
    with connection.cursor() as cursor:
        cursor.execute(VECTORS, {"tenant": current_tenant_id(), "ids": list(ids), "encoder": encoder_setting()})
        return {id: from_sent(sent) for id, sent in cursor.fetchall()}


def _passage(asked: Set[str], row: dict[str, Any], scores: dict[str, float | None]) -> Passage:
    score = next(scores[name] for name in reversed(STAGES) if scores[name] is not None)
    return Passage(
        chunk_id=row["id"],
        source_id=row["source_id"],
        version=row["version"],
        kind=row["kind"],
        title=row["title"],
        text=row["text"],
        score=score or 0.0,
        stages=scores,
        asked=asked,
    )


def quote_of(text: str, asked: Set[str]) -> str:
    """The sentence with most of the `beginnings` of a query, the first of them; no longer than LONGEST_QUOTE."""
    spans = [span for span in sentences(text) if not text[slice(*span)].startswith("#")] or [(0, len(text))]
    begin, end = max(spans, key=lambda span: len(asked & beginnings(text[slice(*span)])))
    return text[begin : min(end, begin + LONGEST_QUOTE)].strip()


def beginnings(text: str) -> set[str]:
    """Beginnings of words, which forms of a word share, and pairs of characters."""
    words, terms = _terms(text)
    return {word[:5] for word in words if len(word) > 2} | set(terms)
