"""Answering: from a request for recommendations to a recorded decision."""

import time
from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.recommendation import selectors
from apps.recommendation.arranging import Placed, adjust, arrange
from apps.recommendation.asking import Ask, Recommendation
from apps.recommendation.candidates import Pool, fill
from apps.recommendation.reasons import EXPLORED, explain
from apps.recommendation.rules import active_rules
from apps.recommendation.scenarios import APPLICATION, DEFAULT_SCENARIOS, Kind, ScenarioSettings
from apps.recommendation.selectors import Shelf, UnknownScenario
from apps.recommendation.sources import Situation, sources_for
from decisions.models import Scenario
from decisions.policies import Policy, generator_of
from decisions.services import DecidedItem, record_decision

# Where the order is not only the source's, a list is chosen from so many times the wanted number of candidates.
CHOSEN_FROM = 4


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


def preview(ask: Ask) -> Recommendation:
    """The answer that `recommend` would give, without recording it."""
    return preview_scenario(_find_scenario(ask.scenario), ask)


def preview_scenario(scenario: Scenario, ask: Ask) -> Recommendation:
    """The answer of a scenario that may be switched off, or not be stored at all."""
    now = timezone.now()
    settings = ScenarioSettings.from_dict(scenario.settings).changed(ask.params)
    events = selectors.personal_events(ask.subject.keys, settings)
    seeds = list(ask.items) or [event.item_id for event in events[-1:]]
    excluded = {*ask.exclude, *selectors.excluded_items(ask.subject.keys, settings, now)}
    if scenario.kind == Kind.SIMILAR:
        excluded |= set(seeds)
    rules = active_rules(scenario.key, ask.context, now)
    shelf = Shelf(
        excluded=excluded,
        filters=[each for each in (settings.filter, ask.filter) if each],
        require_known=settings.require_known_items,
        rules=rules,
    )

    policy = Policy("softmax", settings.temperature) if settings.temperature else Policy("greedy", 0.0)
    sources = sources_for(Situation(scenario, settings, events, seeds, shelf, now))
    pool = fill(ask.count * (CHOSEN_FROM if settings.temperature else 1), sources, shelf.permitted)
    decision_id = uuid7()
    placed = arrange(adjust(pool.candidates, rules), ask.count, policy, rules, generator_of(decision_id))
    return Recommendation(
        decision_id=decision_id,
        scenario=scenario,
        model_version=pool.answers[0].model_version,
        policy=str(policy),
        degraded=_degraded(pool),
        items=_decided(placed, ask),
        notice=_notice(len(placed), ask),
    )


def _decided(placed: Sequence[Placed], ask: Ask) -> list[DecidedItem]:
    reasons = _reasons(placed) if ask.explain else [[] for _ in placed]
    return [
        DecidedItem(
            id=each.candidate.item_id,
            rank=rank,
            score=each.adjusted.score,
            propensity=each.propensity,
            reasons=why,
            rules=each.rules,
            parts={"source": each.candidate.score, **each.adjusted.factors},
        )
        for rank, (each, why) in enumerate(zip(placed, reasons, strict=True), start=1)
    ]


def _reasons(placed: Sequence[Placed]) -> list[list[dict[str, Any]]]:
    titles = selectors.titles({each.candidate.cause.item_id for each in placed if each.candidate.cause.item_id})
    return [
        [
            explain(cause, titles, each.candidate.item_id)
            for cause in ((each.candidate.cause, EXPLORED) if each.explored else (each.candidate.cause,))
        ]
        for each in placed
    ]


def _degraded(pool: Pool) -> str | None:
    """What stood in when the scenario's own source had nothing to say."""
    own = pool.answers[0]
    if own.candidates:
        return own.degraded
    return pool.candidates[0].candidate.cause.code if pool.candidates else "empty"


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


def _find_scenario(key: str) -> Scenario:
    """A tenant's first request finds the default scenarios, whoever made the tenant."""
    try:
        return selectors.find_scenario(key)
    except UnknownScenario:
        if selectors.scenarios().exists():
            raise
    create_default_scenarios()
    return selectors.find_scenario(key)
