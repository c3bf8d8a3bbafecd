"""From evidence to words: a macro or past reply with its slots filled, or sentences of articles as they stand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from apps.service.knowledge.models import SourceKind
from apps.service.replies.backends.extractive import extract_sentences
from apps.service.replies.evidence import Evidence, match
from apps.service.replies.grounding.claims import Claim, claims_of, unsupported
from apps.service.replies.grounding.wording import coverage, sentences_of, words_of
from apps.service.replies.masking import marks_in
from apps.service.replies.ranking import Ranking
from apps.service.replies.slots import fill_slots

SELECTION, EXTRACTIVE = "selection", "extractive"
# Below this a macro speaks of something else.
LEAST_MATCH = 0.3
# A model that thinks less of a reply does not bring it up.
LEAST_PROBABILITY = 0.05
MOST_SUGGESTIONS = 3
END_MARKS = tuple(".!?。！？；")


@dataclass(frozen=True)
class Candidate:
    """A reply that could be given: its text in sentences, each with the passage that it cites.

    `match` says how well it fits what is asked, 0 to 1. `missing` names slots without a value, `loose` claims that
    neither the order data nor an article makes.
    """

    backend: str
    sentences: Sequence[tuple[str, Evidence]]
    text: str
    match: float
    missing: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        return not self.missing and not self.loose


def fill_templates(
    query: str, ranking: Ranking, values: Mapping[str, str], facts: Callable[[], frozenset[Claim]]
) -> list[Candidate]:
    """Macros and past replies as replies, the best first; those that can be sent as they are before those that can not.

    What a past reply states was true of another customer: its claims count only where the order data makes them too;
    `facts` gives those.
    """
    found = []
    for passage in ranking.templates:
        by_words = match(query, passage)
        fits = ranking.fit(passage.source, by_words)
        if by_words < LEAST_MATCH and (not ranking.probabilities or fits < LEAST_PROBABILITY):
            continue
        is_macro = passage.kind == SourceKind.MACRO
        filled = fill_slots(passage.text, values)
        if not is_macro:
            filled = replace(filled, missing=(*filled.missing, *marks_in(filled.text)))
        loose = () if is_macro else tuple(claim.value for claim in unsupported(claims_of(filled.text), facts()))
        sentences = [(sentence, passage) for sentence in sentences_of(filled.text)]
        found.append(Candidate(SELECTION, sentences, filled.text.strip(), fits, filled.missing, filled.used, loose))
    return sorted(found, key=lambda each: (-each.match, not each.is_whole))


def select(candidates: Sequence[Candidate]) -> Candidate | None:
    """The best that is whole, if it fits nearly as well as the best of all; else the best of all."""
    if not candidates:
        return None
    best = candidates[0]
    whole = next((each for each in candidates if each.is_whole), None)
    return whole if whole is not None and whole.match >= 0.8 * best.match else best


def extract(query: str, articles: Sequence[Evidence], left: float = 1.0) -> Candidate | None:
    """Up to three sentences of the article that speaks most of what is asked, word for word; None without any. `left`
    is how probable it is that no template is right."""
    found = extract_sentences(query, [(passage.title, passage.text) for passage in articles])
    if not found:
        return None
    sentences = [(sentence, articles[number - 1]) for number, sentence in found]
    text = join([sentence for sentence, _ in sentences])
    fits = left * coverage(words_of(query), words_of(f"{sentences[0][1].title} {text}"))
    return Candidate(EXTRACTIVE, sentences, text, fits)


def better(template: Candidate | None, extracted: Candidate | None) -> Candidate | None:
    """Of equals the template, which was written to be given."""
    found = [each for each in (template, extracted) if each is not None]
    return max(found, key=lambda each: each.match, default=None)


def join(sentences: Sequence[str]) -> str:
    """Sentences as one text; Chinese ones have no space between them, and an entry of a list has its own line."""
    text = ""
    for sentence in sentences:
        text += _glue(text, sentence) + sentence
    return text


def _glue(text: str, sentence: str) -> str:
    if not text:
        return ""
    if text.rstrip("\"')]")[-1:] not in END_MARKS:
        return "\n"
    return "" if text[-1] in "。！？；" and not sentence[:1].isascii() else " "


def citations_of(candidate: Candidate) -> list[dict[str, object]]:
    """Each source once, with the sentence numbers (from 1) that rest on it."""
    cited: dict[str, dict[str, object]] = {}
    for number, (_, passage) in enumerate(candidate.sentences, start=1):
        citation = cited.setdefault(
            passage.source,
            {
                "source": passage.source,
                "version": passage.version,
                "kind": passage.kind,
                "title": passage.title,
                "quote": passage.quote() or passage.text,
                "sentences": [],
            },
        )
        numbers = citation["sentences"]
        assert isinstance(numbers, list)
        numbers.append(number)
    return list(cited.values())


def suggestions_of(candidates: Sequence[Candidate], but: Candidate | None) -> list[dict[str, object]]:
    """Other replies that an agent may prefer."""
    found: list[dict[str, object]] = []
    for candidate in candidates:
        if candidate is but or (but is not None and candidate.text == but.text):
            continue
        passage = candidate.sentences[0][1] if candidate.sentences else None
        found.append(
            {
                "source": passage.source if passage else None,
                "title": passage.title if passage else "",
                "backend": candidate.backend,
                "text": candidate.text,
                "score": round(candidate.match, 4),
                "missing": list(candidate.missing),
            }
        )
    return found[:MOST_SUGGESTIONS]
