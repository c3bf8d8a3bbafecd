"""Rankings: the client's own candidates, such as the results of its search, in an order that suits subject and query.

Each ranking is kept with the features of what it served, from which the re-ranker learns.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.recommendation.lists.candidates import Candidate
from apps.recommendation.lists.reasons import explain
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.lists.visitors import Visitor
from apps.recommendation.rankings.facts import ItemFacts, item_facts
from apps.recommendation.rankings.features import Column, RankingCandidate, client_order
from apps.recommendation.rankings.scores import Scored, score_candidates
from apps.recommendation.rankings.words import words
from apps.recommendation.scenarios import APPLICATION, RANKING_MODEL, Kind, scenario_settings
from apps.recommendation.selectors import PersonalEvent
from apps.recommendation.services import obtain_scenario
from behavior.logins import record_login
from behavior.subjects import Subject
from decisions.models import Scenario
from decisions.policies import Policy, choose
from decisions.services import DecidedItem, record_decision

DEFAULT_SCENARIO = "search-rerank"
# Features of items further down are not kept: hardly anybody looks there, and nothing could be learned from them.
FEATURES_KEPT = 100


@dataclass(frozen=True)
class RankingAsk:
    """A request for a ranking. `count` None gives all candidates back; `explain` adds reasons and parts of scores."""

    subject: Subject
    candidates: Sequence[RankingCandidate]
    scenario: str = DEFAULT_SCENARIO
    query: str = ""
    count: int | None = None
    context: dict[str, Any] = field(default_factory=dict)
    explain: bool = False
    keep_unavailable: bool = False


@dataclass(frozen=True)
class Ranking:
    """A ranked list with all that stood behind it. `dropped_ids` are candidates that may not be shown."""

    decision_id: UUID
    scenario: Scenario
    model_version: UUID | None
    policy: str
    degraded: str | None
    items: list[DecidedItem]
    features: dict[str, Column]
    dropped_ids: list[str]


def rank(ask: RankingAsk) -> Ranking:
    """Answer and record the decision. Raises UnknownScenario, and ValidationError for a scenario of another kind."""
    started = time.perf_counter()
    answer = preview(ask)
    session_key = ask.subject.session_key
    record_decision(
        decision_id=answer.decision_id,
        application=APPLICATION,
        scenario=answer.scenario.key,
        subject_key=ask.subject.key,
        session_key=session_key.hex() if session_key else None,
        model_version=answer.model_version,
        policy=answer.policy,
        degraded=answer.degraded,
        request={
            "query": ask.query,
            "candidates": len(ask.candidates),
            "count": ask.count,
            "keep_unavailable": ask.keep_unavailable,
            "context": ask.context,
            "features": answer.features,
        },
        items=answer.items,
        latency_ms=(time.perf_counter() - started) * 1000,
    )
    record_login(ask.subject)
    return answer


def preview(ask: RankingAsk) -> Ranking:
    """The answer that `rank` would give, without recording it."""
    now = timezone.now()
    scenario = _find_scenario(ask.scenario)
    settings = scenario_settings(scenario.kind, scenario.settings)
    visitor = Visitor(ask.subject, now)
    events = visitor.events(settings)
    named = {*(each.item_id for each in ask.candidates), *(event.item_id for event in events)}
    facts = item_facts(named, settings.filter)
    candidates = client_order(ask.candidates)
    shown = [each for each in candidates if _may_be_shown(facts.get(each.item_id), ask, settings)]
    kept = {each.item_id for each in shown}
    scored = score_candidates(
        shown,
        query=ask.query,
        events=events,
        facts=facts,
        settings=settings,
        model=scenario.model or RANKING_MODEL,
        now=now,
    )
    policy = Policy("softmax", settings.temperature) if settings.temperature else Policy("greedy", 0.0)
    decision_id = uuid7()
    order = _order(scored, policy, decision_id)[: ask.count]
    return Ranking(
        decision_id=decision_id,
        scenario=scenario,
        model_version=scored.opinion.model_version,
        policy=str(policy),
        degraded=scored.opinion.degraded if shown else "empty",
        items=_items(order, shown, scored, ask, events, facts),
        features={
            name: [column[place] for place, _ in order[:FEATURES_KEPT]] for name, column in scored.features.items()
        },
        dropped_ids=[each.item_id for each in candidates if each.item_id not in kept],
    )


def _may_be_shown(item: ItemFacts | None, ask: RankingAsk, settings: ScenarioSettings) -> bool:
    """Items that the catalogue does not know meet no filter, and pass where there is none."""
    if item is None:
        return not (settings.filter or settings.require_known_items)
    return item.fits and (item.visible or ask.keep_unavailable)


def _order(scored: Scored, policy: Policy, decision_id: UUID) -> list[tuple[int, float]]:
    """Positions of the candidates in the order to serve, with propensities; what is not movable keeps its place."""
    movable = [position for position, moves in enumerate(scored.movable) if moves]
    if policy.temperature:
        weights = [scored.opinion.weights[position] for position in movable]
        choice = choose(policy, scores=weights, count=len(movable), decision_id=decision_id)
        drawn = [movable[position] for position in choice.positions]
        moved = list(zip(drawn, choice.propensities, strict=True))
    else:
        moved = [(position, 1.0) for position in sorted(movable, key=lambda each: -scored.opinion.scores[each])]
    following = iter(moved)
    return [next(following) if moves else (position, 1.0) for position, moves in enumerate(scored.movable)]


def _items(
    order: Sequence[tuple[int, float]],
    candidates: Sequence[RankingCandidate],
    scored: Scored,
    ask: RankingAsk,
    events: Sequence[PersonalEvent],
    facts: Mapping[str, ItemFacts],
) -> list[DecidedItem]:
    titles = {item_id: fact.title for item_id, fact in facts.items() if fact.title}
    asked = words(ask.query)
    thought = {each.item_id: each for each in scored.sequence.candidates}
    items = []
    for rank, (position, propensity) in enumerate(order, start=1):
        item_id = candidates[position].item_id
        item = DecidedItem(
            id=item_id, rank=rank, score=scored.opinion.scores[position], propensity=propensity, reasons=[], rules=[]
        )
        if ask.explain:
            item["reasons"] = _reasons(item_id, asked, thought.get(item_id), facts, titles)
            item["parts"] = {name: round(column[position], 6) for name, column in scored.opinion.parts.items()}
        items.append(item)
    return items


def _reasons(
    item_id: str,
    asked: Mapping[str, str],
    thought: Candidate | None,
    facts: Mapping[str, ItemFacts],
    titles: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Which words of the query the item has, and which event speaks for it."""
    reasons = []
    if asked and item_id in facts:
        fact = facts[item_id]
        there = words(" ".join([fact.title, fact.brand, *fact.categories]))
        if found := [written for word, written in asked.items() if word in there]:
            weight = round(len(found) / len(asked), 6)
            reasons.append({"code": "matches", "text": f"matches {', '.join(found)}", "weight": weight})
    if thought is not None and thought.score > 0 and thought.cause.code == "because_of":
        reasons.append(explain(thought.cause, titles, item_id))
    return reasons


def _find_scenario(key: str) -> Scenario:
    """Raises UnknownScenario, and ValidationError for one of another kind."""
    scenario = obtain_scenario(key)
    if scenario.kind != Kind.RANKING:
        raise ValidationError({"scenario": f"'{key}' is {scenario.kind}; a ranking needs a scenario of kind ranking"})
    return scenario
