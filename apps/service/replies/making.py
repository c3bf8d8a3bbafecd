"""From a conversation to a reply: understood, evidence, words, checks, decision. Writes nothing."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import UUID

from apps.service.experiments.selectors import Exposure, answering, exposure_of
from apps.service.replies import evidence
from apps.service.replies.alarms import alarms_of
from apps.service.replies.asking import Asked, order_asked_of
from apps.service.replies.composing import (
    LEAST_MATCH,
    SELECTION,
    Candidate,
    better,
    citations_of,
    extract,
    fill_templates,
    select,
    suggestions_of,
)
from apps.service.replies.deciding import Case, Verdict, decide
from apps.service.replies.evidence import Evidence, Understanding
from apps.service.replies.facts import Chosen, Facts, order_claims, read_facts, slot_values
from apps.service.replies.grounding.claims import Claim
from apps.service.replies.grounding.promises import unbacked_promises
from apps.service.replies.models import ReplyAction
from apps.service.replies.ranking import Ranking, rank_templates
from apps.service.replies.settings import ServiceSettings
from apps.service.replies.summaries import summarise
from apps.service.replies.wishes import asks_for_human, blocked_topic


@dataclass(frozen=True)
class Gathered:
    """All that replies to one message rest on; whoever writes the words, they are judged against this."""

    asked: Asked
    understood: Understanding
    intents: Collection[str]  # of all that waits and, where several messages wait, of each by itself
    facts: Facts
    chosen: Chosen
    values: Mapping[str, str]
    articles: Sequence[Evidence]
    ranking: Ranking
    stages: Sequence[str]  # of the search, that ran
    exposure: Exposure | None = None

    @cached_property
    def known(self) -> frozenset[Claim]:
        """What the order's data states."""
        return order_claims(self.chosen)

    @property
    def templates(self) -> Sequence[Evidence]:
        return self.ranking.templates

    @property
    def model_version(self) -> UUID | None:
        """Of the model that chose the reply, or else of the one that understood the message."""
        return self.ranking.model_version or self.understood.model_version


@dataclass(frozen=True)
class Made:
    """A reply with its verdict; `text` is empty where the customer is handed off."""

    gathered: Gathered
    verdict: Verdict
    candidate: Candidate | None
    confidence: float
    suggestions: list[dict[str, Any]]
    summary: dict[str, Any] | None = None
    degraded: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "" if self.candidate is None or self.verdict.action == ReplyAction.HAND_OFF else self.candidate.text

    @property
    def citations(self) -> list[dict[str, Any]]:
        return citations_of(self.candidate) if self.candidate and self.text else []


def gather(asked: Asked, settings: ServiceSettings) -> Gathered:
    """Read what is known: the message's meaning, the customer's orders, templates and articles; by the versions of
    models that an experiment has chosen for this conversation, where one runs."""
    exposure = exposure_of(asked.conversation_id)
    with answering(exposure):
        return replace(_gather(asked, settings), exposure=exposure)


def _gather(asked: Asked, settings: ServiceSettings) -> Gathered:
    understood, intents = evidence.understand(asked.said, asked.messages)
    language = _searched_language(asked, understood)
    facts = read_facts(asked.keys, settings.order_event_types)
    chosen = order_asked_of(asked, facts)
    templates, articles, stages = evidence.find_passages(
        asked.query, language=language, segments=asked.segments, stages=settings.stages
    )
    ranking = rank_templates(
        asked.texts,
        asked.keys,
        templates,
        language=language,
        control_share=settings.control_share,
    )
    return Gathered(
        asked=asked,
        understood=understood,
        intents=intents,
        facts=facts,
        chosen=chosen,
        values=_values(asked, facts, chosen, settings),
        articles=articles,
        ranking=ranking,
        stages=stages,
    )


def _searched_language(asked: Asked, understood: Understanding) -> str | None:
    """The one that the client named; None, which is any, where the message is in another. What looks like English may
    be an id alone, and says nothing."""
    named = _named_language(asked, understood)
    return named if understood.language in (named, evidence.ENGLISH) else None


def _named_language(asked: Asked, understood: Understanding) -> str:
    return re.split("[-_]", (asked.language or understood.language).lower())[0]


def slots_of(asked: Asked, settings: ServiceSettings) -> dict[str, str]:
    """What the slots of macros are filled with, where nothing else is to be gathered."""
    facts = read_facts(asked.keys, settings.order_event_types)
    return _values(asked, facts, order_asked_of(asked, facts), settings)


def _values(asked: Asked, facts: Facts, chosen: Chosen, settings: ServiceSettings) -> dict[str, str]:
    return {**slot_values(facts, chosen), **asked.values, "business.name": settings.business_name}


def make_reply(
    gathered: Gathered,
    settings: ServiceSettings,
    *,
    degraded: str | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Made:
    """The macro or past reply that fits best, or sentences of an article that fits better.

    Where a single message of several finds a reply, this one may be answered alone, as a draft: only what speaks of all
    of them is sent. Where several do, a reply is measured by all of them.
    """
    whole = _written(gathered, gathered.asked.question)
    alone = [found for text in gathered.asked.messages if (found := _written(gathered, text))[0] is not None]
    tried = [whole, *alone] if len(alone) == 1 else [whole]
    candidate, candidates = max(tried, key=lambda each: each[0].match if each[0] else -1.0)
    return judge(gathered, settings, candidate, candidates, degraded=degraded, notes=notes)


def _written(gathered: Gathered, question: str) -> tuple[Candidate | None, list[Candidate]]:
    """What fits a question best, and all that fits it."""
    templates = fill_templates(question, gathered.ranking, gathered.values, lambda: gathered.known)
    extracted = extract(question, gathered.articles, gathered.ranking.left)
    return better(select(templates), extracted), [*templates, *([extracted] if extracted else [])]


def judge(
    gathered: Gathered,
    settings: ServiceSettings,
    candidate: Candidate | None,
    candidates: Sequence[Candidate],
    *,
    doubts: Sequence[tuple[str, str]] = (),
    degraded: str | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Made:
    """Decide on a reply, whoever wrote it; `doubts` are what its writer found wrong with it."""
    understood, chosen = gathered.understood, gathered.chosen
    said = gathered.asked.said
    confidence = confidence_of(understood, candidate)
    case = Case(
        has_text=candidate is not None,
        confidence=confidence,
        intent=evidence.known_intent(understood),
        is_sendable_intent=understood.may_be_sent and not understood.out_of_scope,
        asks_for_human=asks_for_human(said),
        blocked_topic=blocked_topic(said, settings.blocked_topics),
        alarms=alarms_of(said),
        is_out_of_scope=evidence.is_out_of_scope(understood),
        is_with_agent=gathered.asked.is_with_agent,
        is_unhappy=understood.sentiment == "negative",
        doubts=[*doubts, *(_doubts(candidate, gathered) if candidate else ())],
    )
    verdict = decide(case, settings)
    if candidate is not None and candidate.backend == SELECTION:
        verdict = replace(verdict, reasons=[*verdict.reasons, *gathered.ranking.because])
    is_handed_off = verdict.action == ReplyAction.HAND_OFF
    return Made(
        gathered=gathered,
        verdict=verdict,
        candidate=candidate,
        confidence=confidence,
        suggestions=suggestions_of(candidates, None if is_handed_off else candidate),
        summary=summarise(said, understood, gathered.facts, chosen, candidate.missing if candidate else ())
        if is_handed_off
        else None,
        degraded=degraded or understood.degraded,
        notes={
            "order": chosen.how,
            "stages": list(gathered.stages),
            **gathered.ranking.notes(),
            **_experiment(gathered),
            **(notes or {}),
        },
    )


def _experiment(gathered: Gathered) -> dict[str, Any]:
    return {"experiment": gathered.exposure.to_dict()} if gathered.exposure else {}


def confidence_of(understood: Understanding, candidate: Candidate | None) -> float:
    """How sure the reply is, 0 to 1: the geometric mean of how well it fits and of how sure its intent is, where a
    model of intents answered. A score to rank by; what it is worth is read from what agents accept."""
    if candidate is None:
        return 0.0
    if understood.intent is None:
        return candidate.match
    return math.sqrt(candidate.match * understood.confidence)


def _doubts(candidate: Candidate, gathered: Gathered) -> list[tuple[str, str]]:
    found = []
    uses_order = _uses_order(candidate)
    if candidate.missing:
        found.append(("missing_slots", f"nothing is known for {', '.join(candidate.missing)}"))
    if candidate.loose:
        found.append(("unsupported", f"nothing backs {', '.join(candidate.loose[:5])}"))
    if uses_order and gathered.chosen.how == "several":
        found.append(("which_order", "the customer names several orders; one of them is taken"))
    if uses_order and gathered.chosen.how == "newest":
        found.append(("which_order", "the customer has several orders and names none; the newest is taken"))
    if gathered.chosen.how == "unknown":
        found.append(("order_unknown", "the message names an order that is not this customer's"))
    if unbacked_promises(candidate.text, gathered.chosen.values):
        found.append(("promise", "it promises money or delivery that the order's data does not back"))
    if not _is_in_language(candidate.text, gathered):
        found.append(("language", "it is not in the customer's language"))
    return [*found, *_doubts_of_several(candidate, gathered)]


def _doubts_of_several(candidate: Candidate, gathered: Gathered) -> list[tuple[str, str]]:
    """Whether one reply answers all that waits."""
    found = []
    told = _speaks_of(candidate, gathered)
    if any(evidence.match_text(text, told) < LEAST_MATCH for text in gathered.asked.messages):
        found.append(("partly_answered", "the customer wrote several messages, and it does not speak of each"))
    if len(gathered.intents) > 1:
        found.append(("several_intents", f"the customer wants several things: {', '.join(gathered.intents)}"))
    if gathered.asked.is_long:
        found.append(("partly_read", "the customer wrote more than a reply is searched for by and measured by"))
    return found


def _speaks_of(candidate: Candidate, gathered: Gathered) -> str:
    """A reply's words with the titles of its sources, and with the order's id where it tells of the order."""
    order = gathered.chosen.order
    about = [order.order_id] if order is not None and _uses_order(candidate) else []
    return "\n".join([*{passage.title for _, passage in candidate.sentences}, candidate.text, *about])


def _uses_order(candidate: Candidate) -> bool:
    return any(name.startswith("order.") for name in (*candidate.used, *candidate.missing))


def _is_in_language(text: str, gathered: Gathered) -> bool:
    """Whether a text is in the language of the message and in the one that the client named; never where that is
    another than English and Chinese, which nobody here can tell from a third."""
    spoken = gathered.understood.language
    named = _named_language(gathered.asked, gathered.understood)
    return spoken != evidence.OTHER and {spoken, named} == {evidence.detect_language(text)}
