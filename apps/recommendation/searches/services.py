"""Searching: from a query to items that match it, ranked for the subject, as a recorded decision.

Where nothing matches, the search loosens by steps: mistyped words are corrected, then some of the words do, then
closeness in meaning, then what is popular among the items that pass the filter.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.recommendation import selectors
from apps.recommendation.lists.arranging import Placed, adjust, arrange
from apps.recommendation.lists.asking import EarlierPages
from apps.recommendation.lists.candidates import Candidate, Cause, Pooled, Source, fill
from apps.recommendation.lists.reasons import explain
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.lists.visitors import Visitor
from apps.recommendation.rankings.features import Column
from apps.recommendation.rules.book import active_rules
from apps.recommendation.scenarios import APPLICATION, MODEL, Kind, scenario_settings
from apps.recommendation.searches.ranking import RankedMatch, rank_matches
from apps.recommendation.searches.reasons import explain_matches
from apps.recommendation.selectors import Shelf
from apps.recommendation.services import obtain_scenario
from behavior.logins import record_login
from behavior.subjects import Subject
from catalog.selectors import UNKNOWN
from catalog.text_analysis import is_mostly_cjk
from catalog.text_query import TextQuery, read_text_query
from catalog.text_search import Facets, Found, search_items_by_text
from decisions import selectors as decisions
from decisions.models import Decision, Scenario
from decisions.policies import Policy, generator_of
from decisions.services import DecidedItem, record_decision
from serving import text_vectors

SCENARIO = "search"
# Matches that are ranked for the subject, and items that all pages of a search show together at most.
WINDOW = 500
MOST_SHOWN = 1_000
# What stands behind a match that no event speaks for.
MATCHES = Cause("matches", 1.0)


@dataclass(frozen=True)
class SearchAsk:
    """A search. `params` replace scenario settings; `earlier` are the pages that were served before."""

    query: str
    subject: Subject | None
    scenario: str = SCENARIO
    count: int = 12
    filter: dict[str, Any] | None = None
    exclude: Sequence[str] = ()
    params: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    explain: bool = True
    facets: bool = True
    earlier: EarlierPages = field(default_factory=EarlierPages)


@dataclass(frozen=True)
class SearchAnswer:
    """`total` counts the matches of all pages, and is the least there are where `is_capped`. `features` are what the
    re-ranker was told, or would have been, of the matches among the items; nothing where these only stand in."""

    decision_id: UUID
    scenario: Scenario
    policy: str
    model_version: UUID | None
    degraded: str | None
    notice: str | None
    corrected_query: str | None
    total: int
    is_capped: bool
    facets: Facets | None
    items: list[DecidedItem]
    features: dict[str, Column]
    has_more: bool


def search(ask: SearchAsk) -> SearchAnswer:
    """Answer and record the decision. Raises UnknownScenario, and ValidationError for what cannot be used."""
    started = time.perf_counter()
    answer = preview_search(ask)
    session_key = ask.subject.session_key if ask.subject else None
    record_decision(
        decision_id=answer.decision_id,
        application=APPLICATION,
        scenario=answer.scenario.key,
        subject_key=ask.subject.key if ask.subject else None,
        session_key=session_key.hex() if session_key else None,
        model_version=answer.model_version,
        policy=answer.policy,
        degraded=answer.degraded,
        request={
            "kind": Kind.SEARCH,
            "query": ask.query,
            "count": ask.count,
            "filter": ask.filter,
            "exclude": list(ask.exclude),
            "params": ask.params,
            "context": ask.context,
            "earlier": [str(decision_id) for decision_id in ask.earlier.decision_ids],
            **({"features": answer.features} if answer.features else {}),
        },
        items=answer.items,
        latency_ms=(time.perf_counter() - started) * 1000,
    )
    if ask.subject:
        record_login(ask.subject)
    return answer


def next_page(cursor: UUID, ask: SearchAsk) -> SearchAsk:
    """The ask for the page after the decision `cursor`: its query and conditions, with the subject and count of `ask`.

    Raises ValidationError for a cursor that is not of a search of this subject.
    """
    try:
        decision = decisions.get_decision(cursor)
        earlier = [UUID(each) for each in decision.request.get("earlier", ())]
        pages = [*decisions.get_decisions(earlier), decision] if earlier else [decision]
    except Decision.DoesNotExist:
        decision = None
    if decision is None or decision.application != APPLICATION or decision.request.get("kind") != Kind.SEARCH:
        raise ValidationError({"cursor": "is not the next_cursor of a search; search again without it"})
    keys = ask.subject.keys if ask.subject else []
    if decision.subject_key is None or bytes(decision.subject_key) not in keys:
        raise ValidationError({"cursor": "belongs to a search of another subject; search again without it"})
    before = decision.request
    return replace(
        ask,
        scenario=decision.scenario,
        **{name: before[name] for name in ("query", "filter", "exclude", "params", "context")},
        earlier=EarlierPages(
            tuple(page.decision_id for page in pages), tuple(item["id"] for page in pages for item in page.items)
        ),
    )


def preview_search(ask: SearchAsk) -> SearchAnswer:
    """The answer that `search` would give, without recording it."""
    now = timezone.now()
    scenario = _find_scenario(ask.scenario)
    settings = scenario_settings(scenario.kind, scenario.settings, ask.params)
    rules = active_rules(scenario.key, {**ask.context, "query": ask.query}, now, count=ask.count)
    visitor = Visitor(ask.subject, now) if ask.subject else None
    refused = visitor.past(settings).refused if visitor else frozenset()
    shelf = Shelf(
        excluded={*ask.exclude, *ask.earlier.item_ids, *refused, *rules.excluded},
        filters=[each for each in (settings.filter, ask.filter) if each],
        require_known=True,
        rules=rules,
    )
    query = read_text_query(ask.query)
    found, step, by_words_alone = _find(ask, query, settings, shelf)
    events = visitor.events(settings) if visitor and settings.personalisation else []
    ranked = rank_matches(
        found.matches,
        events,
        query=query.corrected_text or ask.query,
        model=scenario.model or MODEL,
        settings=settings,
        now=now,
    )
    decision_id = uuid7()
    policy = Policy("softmax", settings.temperature) if settings.temperature else Policy("greedy", 0.0)
    page = _arrange(ranked.matches, ask, policy, shelf, settings, decision_id)
    items = _decide(page, query, ask)
    if not page and not ask.earlier.item_ids:
        items, step = _popular(ask, settings, shelf)
    return SearchAnswer(
        decision_id=decision_id,
        scenario=scenario,
        policy=str(policy),
        model_version=ranked.model_version,
        degraded=step or ("text_only" if by_words_alone else ranked.degraded),
        notice=_notice(step, query, by_words_alone),
        corrected_query=query.corrected_text if page else None,
        total=found.total,
        is_capped=found.is_capped,
        facets=found.facets,
        items=items,
        features=ranked.features_of([each for each, _ in page]),
        has_more=len(found.matches) > ask.count and len(ask.earlier.item_ids) + len(page) < MOST_SHOWN,
    )


def _find(ask: SearchAsk, query: TextQuery, settings: ScenarioSettings, shelf: Shelf) -> tuple[Found, str | None, bool]:
    """What was found, how far the search had to loosen, and whether meaning should have had a say and could not."""
    wants_meaning = bool(settings.meaning and query.terms) and not is_mostly_cjk(ask.query)
    vector = text_vectors.query_vector(ask.query) if wants_meaning else None
    look = partial(
        search_items_by_text,
        vector=None if vector is None else vector.tolist(),
        meaning_weight=settings.meaning,
        condition=shelf.condition,
        exclude=shelf.excluded,
        limit=WINDOW,
        facets=ask.facets,
    )
    found, step = look(query.all_terms), "corrected" if query.is_corrected else None
    if not found.with_words and len(query.terms) > 1:
        found, step = look(query.any_term), "any_word"
    if not found.with_words:
        step = "meaning"
    return found, step, wants_meaning and vector is None


def _arrange(
    matches: Sequence[RankedMatch],
    ask: SearchAsk,
    policy: Policy,
    shelf: Shelf,
    settings: ScenarioSettings,
    decision_id: UUID,
) -> list[tuple[RankedMatch, Placed | None]]:
    """The page's matches as rules and the policy order them; without either, the best as they are."""
    rules = shelf.rules
    if not (rules.marks or policy.temperature):
        return [(each, None) for each in matches[: ask.count]]
    by_id = {each.match.item_id: each for each in matches}
    facts = shelf.permitted(list(by_id)) if rules.marks else {}
    pooled = [
        Pooled(Candidate(item_id, each.score, each.cause or MATCHES), facts.get(item_id, UNKNOWN), 0)
        for item_id, each in by_id.items()
    ]
    placed = arrange(
        adjust(pooled, rules, [{} for _ in pooled]),
        ask.count,
        policy,
        rules,
        generator_of(decision_id),
        replace(settings, diversity=0.0, category_window=None),
        first=len(ask.earlier.item_ids) + 1,
    )
    return [(by_id[each.candidate.item_id], each) for each in placed]


def _decide(page: Sequence[tuple[RankedMatch, Placed | None]], query: TextQuery, ask: SearchAsk) -> list[DecidedItem]:
    reasons = explain_matches([each for each, _ in page], query) if ask.explain else [[] for _ in page]
    first = len(ask.earlier.item_ids) + 1
    return [
        DecidedItem(
            id=each.match.item_id,
            rank=rank,
            score=round(placed.adjusted.score if placed else each.score, 6),
            propensity=placed.propensity if placed else 1.0,
            reasons=of_item,
            rules=placed.rules if placed else [],
        )
        for rank, ((each, placed), of_item) in enumerate(zip(page, reasons, strict=True), start=first)
    ]


def _popular(ask: SearchAsk, settings: ScenarioSettings, shelf: Shelf) -> tuple[list[DecidedItem], str]:
    """What is popular among the permitted items, or else new, and which of both it is."""
    sources: list[Source] = [partial(selectors.popular_items, settings), shelf.newest_items]
    candidates = [each.candidate for each in fill(ask.count, sources, shelf.permitted).candidates]
    items = [
        DecidedItem(
            id=each.item_id,
            rank=rank,
            score=each.score,
            propensity=1.0,
            reasons=[explain(each.cause, {}, each.item_id)] if ask.explain else [],
            rules=[],
        )
        for rank, each in enumerate(candidates, start=1)
    ]
    return items, candidates[0].cause.code if candidates else "empty"


def _notice(step: str | None, query: TextQuery, by_words_alone: bool) -> str | None:
    said = []
    if step == "corrected":
        mistyped = [term for term in query.terms if term.corrections]
        said = [f"no item has “{term.text}”, shown is “{'” or “'.join(term.corrections)}”" for term in mistyped]
    elif step in NOTICES:
        said = [NOTICES[step]]
    if by_words_alone:
        said.append("found by words alone, as the text encoder has not answered or has not read the catalogue yet")
    return "; ".join(said) or None


NOTICES = {
    "any_word": "no item has all the words, shown is what has some of them",
    "meaning": "no item has these words, shown is what comes close in meaning",
    "popular": "nothing matches, shown is what is popular",
    "newest": "nothing matches, shown is what is new",
    "empty": "nothing matches, and no item passes the filter and the exclusions",
}


def _find_scenario(key: str) -> Scenario:
    """Raises UnknownScenario, and ValidationError for one of another kind."""
    scenario = obtain_scenario(key)
    if scenario.kind != Kind.SEARCH:
        raise ValidationError({"scenario": f"'{key}' is of the kind {scenario.kind}; name one of the kind search"})
    return scenario
