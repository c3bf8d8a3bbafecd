"""Finding passages: candidates by full text and by meaning, fused by rank, re-ranked sentence by sentence, the best of
them read beside the question by a cross-encoder; each stage timed and switchable."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np

from apps.service.engine import (
    ASKED_READ,
    asked_beside,
    cross_encode,
    distinct,
    may_cross_encode,
    passage_text,
    rerank,
    sentences,
)
from apps.service.knowledge.asking import CANDIDATES, Ask, Key, Library, NotRun, Ranking, terms_of
from apps.service.knowledge.in_database import InDatabase
from apps.service.knowledge.indexing import PUBLIC, segment_reader
from apps.service.knowledge.models import SourceAudience
from apps.service.knowledge.remembered import chunks_in_memory
from apps.service.knowledge.usual import usual_question
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

FULL_TEXT, DENSE, FUSE, RERANK, CROSS_ENCODE = "full_text", "dense", "fuse", "rerank", "cross_encode"
STAGES = (FULL_TEXT, DENSE, FUSE, RERANK, CROSS_ENCODE)
LONGEST_QUERY = 10_000
MOST_PASSAGES = 50
# Passages that a cross-encoder is shown at most; it reads as many of the first as it was trained to.
MOST_CROSSED = 50
# Passages whose texts are read at most, for the asked-for number of passages: some may be left out.
LEAST_READ, READ_SHARE = 30, 3
# So many more than asked for are read at first.
SPARE = 4
# The neighbours of the whole message are looked up, and those of so many of its first sentences.
MOST_LOOKUPS = 12
# Neighbours of the whole message, and of each sentence.
NEIGHBOURS, NEIGHBOURS_OF_SENTENCE = 100, 20
# Of one source so many passages at most, so that a long article leaves room for others.
PASSAGES_OF_SOURCE = 2
# Reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): the sum of 1 / (60 + rank) over the rankings.
FUSION = 60
# What shares no word with the query and lies further away is no answer to it. Judged after fusion and re-ranking.
LEAST_SIMILARITY = 0.3
LONGEST_QUOTE = 400

# What is asked of a source is looked at once more: what was retired since its chunks were found is not told.
PASSAGES = """
    SELECT chunk.id, chunk.source_id, chunk.kind, chunk.headings, chunk.text, source.title, source.version,
        CASE WHEN source.kind <> 'article' AND source.body <> chunk.text THEN source.body ELSE chunk.text END
    FROM unnest(%s::uuid[]) AS wanted(id)
    JOIN service_chunk AS chunk ON chunk.tenant_id = %s AND chunk.id = wanted.id
    JOIN service_source AS source ON source.tenant_id = chunk.tenant_id AND source.id = chunk.source_id
    WHERE source.status = 'published' AND (source.valid_from IS NULL OR source.valid_from <= now())
        AND (source.valid_until IS NULL OR now() < source.valid_until)"""
COLUMNS = ("id", "source_id", "kind", "headings", "text", "title", "version", "whole")


@dataclass(frozen=True)
class Passage:
    """A part of a source that may answer a query, of which `asked` has the `beginnings`. `whole` is what can be given
    as it is: the body of a macro or past reply, of an article the part.

    `score` is that of the last stage that judged it. `stages` has each stage's: full_text (relevance), dense (cosine),
    fuse, rerank, cross_encode (probability); None where a stage did not find or judge it.
    """

    chunk_id: UUID
    source_id: UUID
    version: int
    kind: str
    title: str
    text: str
    whole: str
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


def search_in_stages(
    query: str,
    *,
    language: str | None = None,
    audience: str = SourceAudience.PUBLIC,
    segments: Collection[str] = (),
    count: int = 5,
    kinds: Collection[str] | None = None,
    stages: Collection[str] = STAGES,
    least: Mapping[Sequence[str], int] = MappingProxyType({}),
) -> Search:
    """The best passages that this audience may see, and what each stage did. See `selectors.search`.

    Behind `count` of them stand those that are missing of `least`, how many passages there should be of some kinds:
    the best of these kinds among all that were ranked.
    """
    seen = segments if audience == SourceAudience.SEGMENT else ()
    readers = None if audience == SourceAudience.AGENTS else [PUBLIC, *map(segment_reader, seen)]
    ask = Ask(query[:LONGEST_QUERY], readers, list(kinds) if kinds is not None else None, language or "")
    library: Library = chunks_in_memory() or InDatabase()
    did: list[Stage] = []
    words = _run(did, FULL_TEXT, stages, lambda: _by_words(library, ask))
    meaning = _run(did, DENSE, stages, lambda: _by_meaning(library, ask))
    fused = _run(did, FUSE, stages, lambda: _fuse(words, meaning))
    candidates = list(fused or {**words, **meaning})[:CANDIDATES]
    judged = _run(did, RERANK, stages, lambda: _rerank(library, ask, candidates, words))
    best = sorted(candidates, key=judged.__getitem__, reverse=True) if judged else candidates
    best = best[: max(LEAST_READ, READ_SHARE * count)]
    best = [key for key in best if key in words or meaning[key] >= LEAST_SIMILARITY]
    crossed = _run(did, CROSS_ENCODE, stages, lambda: _cross_encode(library, ask, best))
    best = [*crossed, *(key for key in best if key not in crossed)]
    asked = beginnings(ask.query)
    by_stage = {FULL_TEXT: words, DENSE: meaning, FUSE: fused, RERANK: judged, CROSS_ENCODE: crossed}
    passages = [
        _passage(asked, row, {name: found.get(key) for name, found in by_stage.items()})
        for key, row in _chosen(_told(library, best, count + SPARE), count, least)
    ]
    return Search(passages, did)


def _chosen(
    rows: Iterator[tuple[Key, dict[str, Any]]], count: int, least: Mapping[Sequence[str], int]
) -> Iterator[tuple[Key, dict[str, Any]]]:
    of_source: Counter[UUID] = Counter()
    missing, given = dict(least), 0
    for key, row in rows:
        wanted = [kinds for kinds, number in missing.items() if number > 0 and row["kind"] in kinds]
        of_source[row["source_id"]] += 1
        if of_source[row["source_id"]] > PASSAGES_OF_SOURCE or (given >= count and not wanted):
            continue
        yield key, row
        given += 1
        for kinds in wanted:
            missing[kinds] -= 1
        if given >= count and not any(number > 0 for number in missing.values()):
            return


def read_beside(query: str, ids: list[UUID], *, language: str | None) -> list[str]:
    """What a cross-encoder reads of the query beside each of these chunks."""
    try:
        return _asked_beside(InDatabase(), Ask(query[:LONGEST_QUERY], None, None, language or ""), ids)
    except NotRun:
        return [query[:ASKED_READ]] * len(ids)


def _run(did: list[Stage], name: str, wanted: Collection[str], work: Callable[[], Ranking]) -> Ranking:
    started = time.perf_counter()
    stage = Stage(name, ran=name in wanted, reason="" if name in wanted else "switched off")
    found: Ranking = {}
    try:
        found = work() if stage.ran else {}
    except NotRun as error:
        stage.ran, stage.reason = False, str(error)
    stage.found = len(found)
    stage.milliseconds = (time.perf_counter() - started) * 1000
    did.append(stage)
    return found


def _by_words(library: Library, ask: Ask) -> Ranking:
    if not any(ask.terms):
        raise NotRun("the query has no words")
    return library.by_words(ask)


def _by_meaning(library: Library, ask: Ask) -> Ranking:
    asked = ask.vectors
    # Its length does not matter: what is compared is the angle.
    lookups = [np.mean(asked, axis=0), *asked[:MOST_LOOKUPS]] if len(asked) > 1 else asked
    neighbours = [NEIGHBOURS] + [NEIGHBOURS_OF_SENTENCE] * (len(lookups) - 1)
    found = library.by_meaning(ask, list(zip(lookups, neighbours, strict=True)))
    return dict(islice(found.items(), CANDIDATES))


def _fuse(*rankings: Ranking) -> Ranking:
    """The best of each ranking, best first."""
    scores: dict[Key, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking, start=1):
            scores[key] = scores.get(key, 0.0) + 1 / (FUSION + rank)
    # Of equals the lower key stays first.
    best = sorted(sorted(scores), key=scores.__getitem__, reverse=True)
    return {key: scores[key] for key in best[:CANDIDATES]}


def _read(library: Library, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """The chunks with what is asked of their sources, in the order of the keys; without those that are not told."""
    ids = library.ids(keys)
    with prepared_cursor() as cursor:
        cursor.execute(PASSAGES, [ids, current_tenant_id()])
        found = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in cursor.fetchall()}
    return {key: found[id] for key, id in zip(keys, ids, strict=True) if id in found}


def _told(library: Library, keys: Sequence[Key], first: int) -> Iterator[tuple[Key, dict[str, Any]]]:
    """As `_read`; those after the `first` are read only where these are not enough."""
    for some in (keys[:first], keys[first:]):
        if some:
            yield from _read(library, some).items()


def _rerank(library: Library, ask: Ask, keys: Sequence[Key], words: Ranking) -> Ranking:
    """Each sentence of the query beside each candidate."""
    if not keys:
        raise NotRun("there is nothing to re-rank")
    asked = ask.vectors
    vectors = library.vectors(keys)
    if not vectors.any():
        raise NotRun("no candidate has a vector yet")
    relevance = [words.get(key, 0.0) for key in keys]
    return dict(zip(keys, rerank(asked, vectors, relevance, usual_question().vector), strict=True))


def _cross_encode(library: Library, ask: Ask, best: Sequence[Key]) -> Ranking:
    """The question beside each of the best passages; how probably these answer it, in the new order."""
    if not may_cross_encode():
        raise NotRun("no cross-encoder is live")
    rows = _read(library, best)
    if not rows:
        raise NotRun("there is nothing to read")
    keys = list(rows)[:MOST_CROSSED]
    passages = [passage_text(rows[key]["title"], rows[key]["text"]) for key in keys]
    answer = cross_encode(_asked_beside(library, ask, keys), passages)
    if answer is None:
        raise NotRun("the cross-encoder did not answer in time")
    judged = sorted(zip(answer["scores"], keys, answer["probabilities"], strict=False), key=lambda each: -each[0])
    return {key: probability for _, key, probability in judged}


def _asked_beside(library: Library, ask: Ask, keys: Sequence[Key]) -> list[str]:
    """What is read of the query beside each passage: all of it, or of a long one the sentences nearest to it."""
    asked, sentences_of_query = np.stack(ask.vectors), [text for text, _ in ask.read]
    if len(ask.query) <= ASKED_READ:
        return [ask.query] * len(keys)
    moved, anywhere = distinct(asked, usual_question().vector), asked.mean(axis=0)
    return [
        asked_beside(sentences_of_query, moved, vector if vector.any() else anywhere)
        for vector in library.vectors(keys)
    ]


def _passage(asked: Set[str], row: dict[str, Any], scores: dict[str, float | None]) -> Passage:
    score = next(scores[name] for name in reversed(STAGES) if scores[name] is not None)
    return Passage(
        chunk_id=row["id"],
        source_id=row["source_id"],
        version=row["version"],
        kind=row["kind"],
        title=row["title"],
        text=row["text"],
        whole=row["whole"],
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
    words, terms = terms_of(text)
    return {word[:5] for word in words if len(word) > 2} | set(terms)
