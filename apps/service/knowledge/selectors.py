"""Reads of sources, and the search that replies rest on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from apps.service.knowledge.models import Source, SourceAudience, SourceVersion
from apps.service.knowledge.searching import FULL_TEXT, STAGES, Passage, search_in_stages
from catalog.text_analysis import analyse, pairs

__all__ = ["Passage", "search", "similar_sources", "sources", "versions_of"]

# From this share of common words on two titles are likely to say the same.
SIMILAR_TITLES = 0.5
SIMILAR_SHOWN = 3


@dataclass(frozen=True)
class SimilarSource:
    """`similarity` is the share of words that the titles have in common (Jaccard), 1 where the whole text is the
    same."""

    id: UUID
    kind: str
    title: str
    status: str
    similarity: float


def search(
    query: str,
    *,
    language: str | None = None,
    audience: str = SourceAudience.PUBLIC,
    segments: Collection[str] = (),
    count: int = 5,
    kinds: Collection[str] | None = None,
    stages: Collection[str] = STAGES,
) -> list[Passage]:
    """Passages of published, valid sources that answer `query`, best first; at most `count` (1 to 50).

    `audience` is who will read the answer: public, segment (customers; what `segments` of theirs may see is found
    too), or agents, who see everything. `language` (en, zh, other) and `kinds` narrow; `stages` switches full_text,
    dense, fuse, rerank and cross_encode. A stage that cannot run is left out, and nothing raises for lack of a model.
    """
    return search_in_stages(
        query, language=language, audience=audience, segments=segments, count=count, kinds=kinds, stages=stages
    ).passages


def sources(
    *,
    kind: str | None = None,
    status: str | None = None,
    language: str | None = None,
    audience: str | None = None,
    tag: str | None = None,
    external_id: str | None = None,
) -> QuerySet[Source]:
    """Sources that have all that is named."""
    exact = {"kind": kind, "status": status, "language": language, "audience": audience, "external_id": external_id}
    found = Source.objects.filter(**{name: value for name, value in exact.items() if value is not None})
    return found.filter(tags__contains=[tag]) if tag is not None else found


def versions_of(source_id: UUID) -> QuerySet[SourceVersion]:
    """The source's history, newest first."""
    return SourceVersion.objects.filter(source_id=source_id)


def similar_sources(source: Source) -> list[SimilarSource]:
    """Others of its kind that may say the same: with the same text, or with most of its title's words."""
    others = sources(kind=source.kind).exclude(id=source.id)
    same = others.filter(content_hash=bytes(source.content_hash))[:SIMILAR_SHOWN]
    near = search(source.title, audience=SourceAudience.AGENTS, count=10, kinds=[source.kind], stages=(FULL_TEXT,))
    asked = _words(source.title)
    found = {other.id: _similar(other, 1.0) for other in same}
    for other in others.filter(id__in=[passage.source_id for passage in near]):
        shared = _shared(asked, _words(other.title))
        if shared >= SIMILAR_TITLES:
            found.setdefault(other.id, _similar(other, shared))
    return sorted(found.values(), key=lambda each: -each.similarity)[:SIMILAR_SHOWN]


def _similar(source: Source, similarity: float) -> SimilarSource:
    return SimilarSource(source.id, source.kind, source.title, source.status, round(similarity, 2))


def _words(title: str) -> set[str]:
    analysed = analyse(title)
    return {*analysed.words, *(pair for run in analysed.runs for pair in pairs(run))}


def _shared(one: Collection[str], other: Collection[str]) -> float:
    together = set(one) | set(other)
    return len(set(one) & set(other)) / len(together) if together else 0.0


def existing_by_external_id(kind: str, external_ids: Sequence[str]) -> dict[str, Source]:
    """Sources by the tenant's own id, locked until the transaction ends."""
    found = Source.objects.select_for_update().filter(kind=kind, external_id__in=external_ids).order_by("id")
    return {source.external_id: source for source in found}
