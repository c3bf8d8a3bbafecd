"""Answering: from a request for recommendations to a recorded decision."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.recommendation import selectors
from apps.recommendation.lists.arranging import Placed, adjust, arrange
from apps.recommendation.lists.asking import Ask, Recommendation
from apps.recommendation.lists.candidates import Pool, fill
from apps.recommendation.lists.factors import factors_of, reorders
from apps.recommendation.lists.paging import request_of, resume, write_cursor
from apps.recommendation.lists.promotions import wanted_items
from apps.recommendation.lists.reads import Reads
from apps.recommendation.lists.reasons import EXPLORED, explain
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.lists.sources import Situation, seeds_of, sources_for
from apps.recommendation.lists.visitors import Visitor
from apps.recommendation.rules.book import CompiledRule, active_rules
from apps.recommendation.scenarios import APPLICATION, DEFAULT_SCENARIOS, SEEDED, Kind, scenario_settings
from apps.recommendation.selectors import Shelf, UnknownScenario
from behavior.logins import record_login
from decisions.models import Scenario
from decisions.policies import Policy, generator_of
from decisions.services import DecidedItem, record_decision

# Where the order is not only the source's, a list is chosen from so many times the wanted number of candidates.
CHOSEN_FROM = 4
LONGEST_CATEGORY = 200
ASKED_ELSEWHERE = {
    Kind.RANKING: "ranks candidates of the client's own: use POST rankings",
    Kind.SEARCH: "needs a query: use POST searches",
}
DEFAULT_KEYS = frozenset(each.key for each in DEFAULT_SCENARIOS)


def recommend(ask: Ask, visitor: Visitor | None = None) -> Recommendation:
    """Answer and record the decision. Raises UnknownScenario, and ValidationError for what cannot be used.

    `visitor` is the request's subject where something of it has been read already.
    """
    started = time.perf_counter()
    ask = resume(ask)
    answer = _answer(obtain_scenario(ask.scenario), ask, visitor)
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
        request=request_of(ask),
        items=answer.items,
        latency_ms=(time.perf_counter() - started) * 1000,
    )
    record_login(ask.subject)
    return answer


def preview(ask: Ask, visitor: Visitor | None = None, *, book: Sequence[CompiledRule] | None = None) -> Recommendation:
    """The answer that `recommend` would give, without recording it, so it can be asked twice.

    `visitor` is the request's subject where something of it has been read already; `book` takes the place of the
    published rules.
    """
    ask = resume(ask)
    return _answer(obtain_scenario(ask.scenario), ask, visitor, book=book)


def preview_scenario(scenario: Scenario, ask: Ask) -> Recommendation:
    """The answer of a scenario that may be switched off, or not be stored at all."""
    return _answer(scenario, ask)


def _answer(
    scenario: Scenario, ask: Ask, visitor: Visitor | None = None, *, book: Sequence[CompiledRule] | None = None
) -> Recommendation:
    settings, filters = judge(scenario, ask)
    visitor = visitor or Visitor(ask.subject, timezone.now())
    rules = active_rules(scenario.key, ask.context, visitor.now, count=ask.count, book=book)
    past = visitor.past(settings)
    kept_out = {*past.kept_out, *past.refused, *_own(scenario, ask, visitor, settings)}
    shelf = Shelf(
        excluded={*ask.exclude, *ask.earlier.item_ids, *kept_out, *rules.excluded},
        filters=filters,
        require_known=settings.require_known_items,
        rules=rules,
    )
    situation = Situation(scenario, settings, visitor, list(ask.items), shelf)

    policy = Policy("softmax", settings.temperature) if settings.temperature else Policy("greedy", 0.0)
    choices = CHOSEN_FROM if rules.reorders or reorders(settings, visitor) else 1
    # One more than wanted tells whether there is a next page.
    pool = fill(ask.count + 1, sources_for(situation), partial(visitor.reads.permitted, shelf), choices=choices)
    candidates = [*pool.candidates, *wanted_items(situation, rules, pool.candidates)]
    adjusted = adjust(candidates, rules, factors_of(candidates, settings, visitor))
    decision_id = uuid7()
    first = 1 + len(ask.earlier.item_ids)
    placed = arrange(adjusted, ask.count, policy, rules, generator_of(decision_id), settings, first=first)
    more = len(candidates) > len(placed) == ask.count
    return Recommendation(
        decision_id=decision_id,
        scenario=scenario,
        model_version=pool.answers[0].model_version,
        policy=str(policy),
        degraded=_degraded(pool),
        items=_decided(placed, ask, visitor.reads),
        notice=_notice(len(placed), ask, settings),
        next_cursor=write_cursor([*ask.earlier.decision_ids, decision_id]) if more else None,
    )


def judge(scenario: Scenario, ask: Ask) -> tuple[ScenarioSettings, list[dict[str, Any]]]:
    """The settings and the filters of the answer. Raises ValidationError, keyed by field, for what cannot be used."""
    if scenario.kind in ASKED_ELSEWHERE:
        raise ValidationError({"scenario": f"'{scenario.key}' {ASKED_ELSEWHERE[Kind(scenario.kind)]}"})
    settings = scenario_settings(scenario.kind, scenario.settings, ask.params)
    return settings, _filters(scenario, settings, ask)


def _own(scenario: Scenario, ask: Ask, visitor: Visitor, settings: ScenarioSettings) -> Sequence[str]:
    """Items on the page that its list starts from, or stands beside, and does not show."""
    if scenario.kind in SEEDED:
        return seeds_of(list(ask.items), visitor, settings)
    return ask.items if scenario.kind == Kind.RECENTLY_VIEWED else ()


def _filters(scenario: Scenario, settings: ScenarioSettings, ask: Ask) -> list[dict[str, Any]]:
    """Raises ValidationError where a category page names neither a category nor a filter."""
    filters = [each for each in (settings.filter, ask.filter) if each]
    if scenario.kind != Kind.CATEGORY or (filters and "category" not in ask.context):
        return filters
    category = ask.context.get("category")
    if not isinstance(category, str) or not 1 <= len(category) <= LONGEST_CATEGORY:
        cure = 'needs the category of the page, such as {"category": "boots"}; or send a filter'
        raise ValidationError({"context": cure})
    return [*filters, {"eq": {"field": "categories", "value": category}}]


def _decided(placed: Sequence[Placed], ask: Ask, reads: Reads) -> list[DecidedItem]:
    reasons = _reasons(placed, reads) if ask.explain else [[] for _ in placed]
    first_rank = len(ask.earlier.item_ids) + 1
    return [
        DecidedItem(
            id=each.candidate.item_id,
            rank=rank,
            score=each.adjusted.score,
            propensity=each.propensity,
            reasons=why,
            rules=each.rules,
            parts=each.parts,
        )
        for rank, (each, why) in enumerate(zip(placed, reasons, strict=True), start=first_rank)
    ]


def _reasons(placed: Sequence[Placed], reads: Reads) -> list[list[dict[str, Any]]]:
    titles = reads.titles({item_id for each in placed for item_id in each.candidate.cause.item_ids})
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


def _notice(found: int, ask: Ask, settings: ScenarioSettings) -> str | None:
    if found >= ask.count:
        return None
    if ask.earlier.item_ids:
        return f"only {found} of {ask.count}: this is the end of the list"
    if not settings.fill:
        return f"only {found} of {ask.count}: the scenario's own source has no more, and `fill` is off"
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
    """The active scenario of this key; a request finds the default ones, whoever made the tenant and whenever.

    Raises UnknownScenario that lists the known keys.
    """
    try:
        return selectors.find_scenario(key)
    except UnknownScenario:
        if key not in DEFAULT_KEYS and selectors.scenarios().exists():
            raise
    create_default_scenarios()
    return selectors.find_scenario(key)
