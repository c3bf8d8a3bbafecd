"""The one place that asks knowledge for passages and understanding for what a message means."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.service.knowledge.models import Source, SourceAudience, SourceKind, SourceStatus
from apps.service.knowledge.searching import LONGEST_QUOTE, STAGES, Passage, search_in_stages
from apps.service.learning.models import LearnedReply
from apps.service.replies.grounding.wording import coverage, words_of
from apps.service.understanding import selectors as understanding
from apps.service.understanding.languages import ENGLISH, OTHER, detect_language
from apps.service.understanding.selectors import Understanding, order_ids_in
from tenancy.kept import Kept

__all__ = ["ENGLISH", "OTHER", "Understanding", "detect_language", "order_ids_in", "understand"]

# A macro or past reply is given as it is, an article is quoted.
TEMPLATES = (SourceKind.MACRO, SourceKind.REPLY)
ARTICLES = (SourceKind.ARTICLE,)
LANGUAGES = ("en", "zh")
PASSAGES_READ = 20
# So many are looked for behind these too, so that one kind does not crowd the other out.
TEMPLATES_READ, ARTICLES_READ = 8, 5
# Of the newest replies that agents gave so many tell which templates they usually give; so many of these, and of those
# that were written last, are known to each process for a moment.
GIVEN_LATELY, USUAL, NEWEST = 2_000, 40, 20
USUAL_SECONDS = 10.0


@dataclass(frozen=True)
class Evidence:
    """What a sentence may rest on: a passage of a source, or what is known of an order. `source` names it, `quote`
    gives an excerpt of the source, word for word, which is looked for in what is cited alone."""

    source: str
    version: int
    kind: str
    title: str
    quote: Callable[[], str]
    text: str
    score: float


def understand(text: str, messages: Sequence[str] = ()) -> tuple[Understanding, list[str]]:
    """What a text means, and the intents of it and of the messages that it is made of: of a long text only the
    beginning is read. It is upset or urgent where one of them is. Entities are read where somebody takes over alone
    (`entities_as_json`)."""
    heard = understanding.understand_all([text, *messages], with_entities=False)
    whole, is_negative = heard[0], any(each.sentiment == "negative" for each in heard)
    return (
        replace(
            whole,
            sentiment="negative" if is_negative else whole.sentiment,
            urgency="high" if any(each.urgency == "high" for each in heard) else whole.urgency,
        ),
        sorted({intent for each in heard if (intent := known_intent(each)) is not None}),
    )


def find_passages(
    query: str, *, language: str | None, segments: Collection[str] = (), stages: Collection[str] = STAGES
) -> tuple[list[Evidence], list[Evidence], list[str]]:
    """(macros and past replies, articles, stages that ran): what customers of these segments
    may read, best first; one search."""
    known = (language or "").partition("-")[0]
    searched = search_in_stages(
        query,
        language=known if known in LANGUAGES else None,
        audience=SourceAudience.SEGMENT,
        segments=segments,
        count=PASSAGES_READ,
        stages=stages,
        least={TEMPLATES: TEMPLATES_READ, ARTICLES: ARTICLES_READ},
    )
    found = [
        Evidence(
            str(each.source_id), each.version, each.kind, each.title, partial(_quote, each), each.whole, each.score
        )
        for each in searched.passages
    ]
    # A long macro is found by several of its parts, and given whole, once.
    templates = {passage.source: passage for passage in reversed(found) if passage.kind in TEMPLATES}
    articles = [passage for passage in found if passage.kind in ARTICLES]
    best = [*reversed(templates.values())][:TEMPLATES_READ]
    return best, articles[:ARTICLES_READ], [stage.name for stage in searched.stages if stage.ran]


def withdrawn(citations: Sequence[Mapping[str, Any]]) -> str | None:
    """The title of the first source that is no longer as it was cited: retired, not valid now, or changed since. None
    where all of them hold; one query."""
    # The data of an order is cited too, as order:A-1029.
    cited = {each["source"]: each for each in citations if each["kind"] in SourceKind.values}
    holds = {(str(id), version) for id, version in _valid().filter(id__in=cited).values_list("id", "version")}
    return next((each["title"] for id, each in cited.items() if (id, each["version"]) not in holds), None)


def usual_templates(language: str | None) -> list[Evidence]:
    """Macros and past replies that agents give most, and the newest; those that customers may read now; one query."""
    ids = _usual.get("ids", _usual_ids)
    found = _valid().filter(id__in=ids, kind__in=TEMPLATES, audience=SourceAudience.PUBLIC)
    known = (language or "").partition("-")[0]
    by_id = {each.id: each for each in (found.filter(language=known) if known in LANGUAGES else found)}
    return [
        Evidence(str(each.id), each.version, each.kind, each.title, partial(_beginning, each), each.body, 0.0)
        for source in ids
        if (each := by_id.get(source)) is not None
    ]


def _valid() -> QuerySet[Source]:
    now = timezone.now()
    return Source.objects.filter(
        Q(valid_from=None) | Q(valid_from__lte=now),
        Q(valid_until=None) | Q(valid_until__gt=now),
        status=SourceStatus.PUBLISHED,
    )


def _quote(passage: Passage) -> str:
    return passage.quote


def _beginning(source: Source) -> str:
    return source.body[:LONGEST_QUOTE]


def _usual_ids() -> list[UUID]:
    given = LearnedReply.objects.filter(source__isnull=False).order_by("-given_at").values_list("source", flat=True)
    usual = [source for source, _ in Counter(given[:GIVEN_LATELY]).most_common(USUAL)]
    published = Source.objects.filter(kind__in=TEMPLATES, status=SourceStatus.PUBLISHED)
    newest = published.order_by("-id").values_list("id", flat=True)[:NEWEST]
    return list(dict.fromkeys([*usual, *newest]))


_usual: Kept[list[UUID]] = Kept(seconds=USUAL_SECONDS)


def match(query: str, passage: Evidence) -> float:
    """How much of what is asked the passage speaks of, 0 to 1."""
    return match_text(query, f"{passage.title}\n{passage.text}")


def match_text(query: str, text: str) -> float:
    """Share of the query's content words that the text holds, 0 to 1."""
    return coverage(words_of(query), words_of(text))


def is_out_of_scope(understood: Understanding) -> bool:
    """Only a model that was calibrated can tell; words in common with examples can not."""
    return understood.out_of_scope and understood.degraded in (None, "previous_version")


def known_intent(understood: Understanding) -> str | None:
    """The intent, if the message is within what the intents cover."""
    return None if understood.out_of_scope else understood.intent


def entities_as_json(text: str) -> list[dict[str, Any]]:
    """Of a message; a few queries."""
    found = understanding.entities_of(text)
    return [{"kind": each.kind, "text": each.text, "value": each.value} for each in found]


def alternatives_as_json(understood: Understanding) -> list[list[Any]]:
    return [[each.intent, each.share] for each in understood.alternatives]
