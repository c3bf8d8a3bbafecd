"""Answering: from a request for recommendations to a recorded decision."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.recommendation import engine, selectors
from apps.recommendation.candidates import Candidate, Pool, Source, fill
from apps.recommendation.reads import LIVE, Reads
from apps.recommendation.reasons import EXPLORED, explain
from apps.recommendation.scenarios import APPLICATION, DEFAULT_SCENARIOS, MODEL, Kind, ScenarioSettings
from apps.recommendation.selectors import PersonalEvent, Shelf, UnknownScenario
from behavior.subjects import Subject
from decisions.models import Scenario
from decisions.policies import Policy, choose
from decisions.services import DecidedItem, record_decision

# Exploration draws from so many times the wanted number of candidates.
EXPLORED_POOL = 4
SMALLEST_SCORE = 1e-9
DEFAULT_KEYS = {each.key for each in DEFAULT_SCENARIOS}


@dataclass(frozen=True)
class Ask:
    """A request for recommendations. `items` are the seeds of a similar list; `params` replace scenario settings."""

    scenario: str
    subject: Subject
    count: int = 12
    items: Sequence[str] = ()
    exclude: Sequence[str] = ()
    filter: dict[str, Any] | None = None
    params: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    explain: bool = True


@dataclass(frozen=True)
class Recommendation:
    """A list with all that stood behind it. `notice` says why it is shorter than asked for."""

    decision_id: UUID
    scenario: Scenario
    model_version: UUID | None
    policy: str
    degraded: str | None
    items: list[DecidedItem]
    notice: str | None


def recommend(ask: Ask) -> Recommendation:
    """Answer and record the decision. Raises UnknownScenario, and ValidationError for params that cannot be used."""
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
            "count": ask.count,
            "items": list(ask.items),
            "exclude": list(ask.exclude),
            "filter": ask.filter,
            "params": ask.params,
            "context": ask.context,
        },
        items=answer.items,
        latency_ms=(time.perf_counter() - started) * 1000,
    )
    return answer


def preview(ask: Ask, reads: Reads = LIVE) -> Recommendation:
    """The answer that `recommend` would give, without recording it. It writes nothing, so it can be asked twice."""
    now = timezone.now()
    scenario = obtain_scenario(ask.scenario)
    settings = ScenarioSettings.from_dict(scenario.settings).changed(ask.params)
    events = reads.personal_events(ask.subject.keys, settings)
    seeds = list(ask.items) or [event.item_id for event in events[-1:]]
    excluded = {*ask.exclude, *reads.excluded_items(ask.subject.keys, settings, now)}
    if scenario.kind == Kind.SIMILAR:
        excluded |= set(seeds)
    shelf = Shelf(
        excluded=excluded,
        filters=[each for each in (settings.filter, ask.filter) if each],
        require_known=settings.require_known_items,
    )

    policy = Policy("softmax", settings.temperature) if settings.temperature else Policy("greedy", 0.0)
    sources = _sources(scenario, settings, events=events, seeds=seeds, shelf=shelf, now=now, reads=reads)
    pool = fill(ask.count * (EXPLORED_POOL if settings.temperature else 1), sources, partial(reads.permitted, shelf))
    decision_id = uuid7()
    items = _decide(pool.candidates, policy, ask, decision_id=decision_id, reads=reads)
    return Recommendation(
        decision_id=decision_id,
        scenario=scenario,
        model_version=pool.answers[0].model_version,
        policy=str(policy),
        degraded=_degraded(pool),
        items=items,
        notice=_notice(len(items), ask),
    )


def _sources(
    scenario: Scenario,
    settings: ScenarioSettings,
    *,
    events: Sequence[PersonalEvent],
    seeds: Sequence[str],
    shelf: Shelf,
    now: datetime,
    reads: Reads,
) -> list[Source]:
    """Where candidates come from: the scenario's own source first, then what fills up a short list."""
    model = scenario.model or MODEL
    fallback: list[Source] = [
        partial(reads.popular_items, settings),
        partial(reads.newest_items, shelf),
    ]
    if scenario.kind == Kind.TRENDING:
        return [partial(reads.trending_items, settings), *fallback]
    if scenario.kind == Kind.SIMILAR:
        return [partial(engine.similar_items, model, seeds), *fallback]
    # A subject of whom nothing is known gets what is popular, which is no failure of the model.
    if scenario.kind == Kind.PERSONALISED and events:
        return [partial(reads.next_items, model, events, exclude=sorted(shelf.excluded), now=now), *fallback]
    return fallback


def _decide(
    candidates: Sequence[Candidate], policy: Policy, ask: Ask, *, decision_id: UUID, reads: Reads
) -> list[DecidedItem]:
    """Order the candidates by the policy, with the propensity and the reasons of each."""
    drawn = [(position, 1.0) for position in range(len(candidates))]
    if policy.temperature:
        # Temperature 1 draws in proportion to the scores, hence their logarithms. Without a temperature the candidates
        # stay as they are: the scores of different sources do not compare.
        scores = [math.log(max(candidate.score, SMALLEST_SCORE)) for candidate in candidates]
        choice = choose(policy, scores=scores, count=ask.count, decision_id=decision_id)
        drawn = list(zip(choice.positions, choice.propensities, strict=True))
    chosen = [(candidates[position], position >= ask.count) for position, _ in drawn]
    reasons = _reasons(chosen, reads) if ask.explain else []
    return [
        DecidedItem(
            id=candidates[position].item_id,
            rank=rank,
            score=candidates[position].score,
            propensity=propensity,
            reasons=reasons[rank - 1] if ask.explain else [],
            rules=[],
        )
        for rank, (position, propensity) in enumerate(drawn, start=1)
    ]


def _reasons(chosen: Sequence[tuple[Candidate, bool]], reads: Reads) -> list[list[dict[str, Any]]]:
    """Reasons of each chosen candidate; True marks one that only exploration brought into the list."""
    titles = reads.titles({candidate.cause.item_id for candidate, _ in chosen if candidate.cause.item_id})
    return [
        [explain(cause, titles, each.item_id) for cause in ((each.cause, EXPLORED) if drawn else (each.cause,))]
        for each, drawn in chosen
    ]


def _degraded(pool: Pool) -> str | None:
    """What stood in when the scenario's own source had nothing to say."""
    own = pool.answers[0]
    if own.candidates:
        return own.degraded
    return pool.candidates[0].cause.code if pool.candidates else "empty"


def _notice(found: int, ask: Ask) -> str | None:
    if found >= ask.count:
        return None
    if found == 0 and not (ask.filter or ask.exclude):
        return "nothing to recommend yet: send events, or put items into the catalogue"
    return f"only {found} of {ask.count}: no other item is available and passes the filter and the exclusions"


def create_default_scenarios() -> None:
    """The scenarios that every tenant starts with; those that exist already stay as they are. Safe to race."""
    Scenario.objects.bulk_create(
        [
            Scenario(key=each.key, name=each.name, application=APPLICATION, kind=each.kind, model=each.model)
            for each in DEFAULT_SCENARIOS
        ],
        ignore_conflicts=True,
    )


def obtain_scenario(key: str) -> Scenario:
    """The active scenario of this key; the first request finds the default ones, however old the tenant is.

    Raises UnknownScenario that lists the known keys.
    """
    try:
        return selectors.find_scenario(key)
    except UnknownScenario:
        if key not in DEFAULT_KEYS and selectors.scenarios().exists():
            raise
    create_default_scenarios()
    return selectors.find_scenario(key)
