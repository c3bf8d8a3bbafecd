"""Assessments: from a transaction to a verdict, stored as one decision, once for each transaction."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.db.transaction import atomic
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.risk import engine
from apps.risk.assessments.comparing import difference, difference_within
from apps.risk.assessments.points import points_score
from apps.risk.assessments.selectors import Answer, answer_of, stored_answers
from apps.risk.assessments.settings import APPLICATION, MODEL, SCENARIO, RiskSettings, live_settings
from apps.risk.assessments.verdicts import Verdict, decide
from apps.risk.cases.raising import NewAlert, raise_alerts
from apps.risk.rules.evaluation import Judgement, RuleHit, judge
from apps.risk.rules.fields import facts_of
from apps.risk.rules.models import RiskAction
from apps.risk.transactions.amounts import as_given, in_desk_currency
from apps.risk.transactions.reading import NewTransaction
from apps.risk.transactions.selectors import find_transactions, histories, histories_of_new
from apps.risk.transactions.services import FILLED, MessageIdTaken, claim_transactions, store_transactions
from behavior.judging import Reason, reason_of
from behavior.models import TimeQuality
from decisions.models import Decision
from decisions.services import store_decisions

POLICY = "thresholds and rules"
OLDEST = timedelta(days=365)
DAYS_KEPT = OLDEST // timedelta(days=1)


@dataclass(frozen=True)
class Outcome:
    """What became of one transaction: `answer` and whether it is a new one, or `reason` why it has none.

    `conflict` says that the reason is another transaction under the same id.
    """

    transaction_id: str
    answer: Answer | None = None
    is_new: bool = False
    reason: Reason | None = None
    conflict: bool = False


@dataclass(frozen=True)
class Assessed:
    transaction: NewTransaction
    decision: Decision


def assess(transactions: Sequence[NewTransaction]) -> list[Outcome]:
    """Assess transactions of the tenant in scope, and store each with its event and its decision; one outcome for each,
    in their order.

    The number of statements does not depend on how many there are. One that was assessed before gets the answer that it
    got then. Each reads the history strictly before it, of which earlier ones of the same call are part. Safe to race.
    Raises MessageIdTaken.
    """
    started = time.perf_counter()
    settings = live_settings()
    if made := _assess_if_new(transactions, settings, started):
        return [made[transaction.transaction_id] for transaction in transactions]
    stored = find_transactions([each.transaction_id for each in transactions])
    answers = stored_answers(stored.values())
    outcomes: list[Outcome | None] = []
    fresh: dict[str, NewTransaction] = {}
    for transaction in transactions:
        before = stored.get(transaction.transaction_id)
        kept = _as_stored(transaction, before, settings)
        outcome = _judge(transaction, kept, before, answers, fresh)
        outcomes.append(outcome)
        if outcome is None and transaction.transaction_id not in fresh:
            fresh[transaction.transaction_id] = kept
    pasts = histories(list(fresh.values()), stored) if fresh else None
    made = _assess(list(fresh.values()), pasts, stored, settings, started) if pasts else {}
    seen: set[str] = set()
    results = []
    for transaction, outcome in zip(transactions, outcomes, strict=True):
        found = outcome or made[transaction.transaction_id]
        results.append(replace(found, is_new=False) if transaction.transaction_id in seen else found)
        seen.add(transaction.transaction_id)
    return results


def assess_each(transactions: Sequence[NewTransaction]) -> list[Outcome]:
    """`assess`, but for those whose message ids are taken, which get that as their reason and cost the others nothing.

    Takes a savepoint, which a single transaction does without.
    """
    if not transactions:
        return []
    try:
        with atomic():
            return assess(transactions)
    except MessageIdTaken as error:
        taken = error.transaction_ids
    others = iter(assess_each([each for each in transactions if each.transaction_id not in taken]))
    return [_taken(each.transaction_id) if each.transaction_id in taken else next(others) for each in transactions]


def _taken(name: str) -> Outcome:
    reason = reason_of("transaction_id", "message_id_taken", str(MessageIdTaken([name])))
    return Outcome(name, reason=reason, conflict=True)


def _assess_if_new(
    transactions: Sequence[NewTransaction], settings: RiskSettings, started: float
) -> dict[str, Outcome]:
    """Outcomes by transaction id where none has been seen before, which is nearly always so; none at all otherwise."""
    oldest = timezone.now() - OLDEST
    fresh = {each.transaction_id: in_desk_currency(each, settings) for each in transactions}
    if len(fresh) < len(transactions) or any(each.occurred_at < oldest for each in transactions):
        return {}
    pasts = histories_of_new(list(fresh.values()))
    return {} if pasts is None else _assess(list(fresh.values()), pasts, {}, settings, started)


def _judge(
    transaction: NewTransaction,
    kept: NewTransaction,
    stored: Mapping[str, Any] | None,
    answers: Mapping[str, Answer],
    fresh: Mapping[str, NewTransaction],
) -> Outcome | None:
    """The outcome of a transaction that need not be assessed, which would be `kept` so; None for one that must be, or
    is in this call."""
    name = transaction.transaction_id
    if (before := fresh.get(name)) is not None:
        field = difference_within(before, kept)
        return None if field is None else _conflict(name, field)
    if stored is None:
        if transaction.occurred_at < timezone.now() - OLDEST:
            message = f"lies more than {DAYS_KEPT} days back; load history with `manage.py import_events`"
            return Outcome(name, reason=reason_of("occurred_at", "too_old", message))
        return None
    answer = answers.get(name)
    if (field := difference(transaction, stored, answer)) is not None:
        return _conflict(name, field)
    return Outcome(name, answer) if answer else None


def _conflict(name: str, field: str) -> Outcome:
    message = "differs from the transaction that is stored under this transaction_id; give this one an id of its own"
    return Outcome(name, reason=reason_of(field, "conflict", message), conflict=True)


def _as_stored(transaction: NewTransaction, stored: Mapping[str, Any] | None, settings: RiskSettings) -> NewTransaction:
    """One that was imported keeps its time, its type and the rate of its import; what the call leaves out is as it was
    imported, and so is a property that both name."""
    if stored is None:
        return in_desk_currency(transaction, settings)
    left_out: dict[str, Any] = {name: stored[name] for name in FILLED if getattr(transaction, name) is None}
    return replace(
        transaction,
        amount=stored["amount"],
        given_amount=stored["given_amount"],
        occurred_at=stored["occurred_at"],
        type=stored["type"],
        properties={**transaction.properties, **stored["properties"]},
        **left_out,
    )


def _assess(
    transactions: list[NewTransaction],
    pasts: engine.Histories,
    stored: Mapping[str, Mapping[str, Any]],
    settings: RiskSettings,
    started: float,
) -> dict[str, Outcome]:
    """Outcomes by transaction id."""
    table = engine.velocity(pasts)
    features, scores = engine.named(table), engine.score(MODEL, pasts, table)
    judgements = judge(
        [
            facts_of(transaction, features=values, score=scored.probability)
            for transaction, values, scored in zip(transactions, features, scores, strict=True)
        ]
    )
    assessed = [
        _decide(
            transaction,
            values,
            scored,
            judgement,
            settings,
            is_late=number in pasts.out_of_order,
            was_imported=transaction.transaction_id in stored,
        )
        for number, (transaction, values, scored, judgement) in enumerate(
            zip(transactions, features, scores, judgements, strict=True)
        )
    ]
    # Of a batch each has its share, as lists of a batch have.
    latency_ms = 1000 * (time.perf_counter() - started) / len(assessed)
    for each in assessed:
        each.decision.latency_ms = latency_ms
    mine = _store(assessed, stored)
    kept = [each for each in assessed if each.transaction.transaction_id in mine]
    raise_alerts([_alert(each) for each in kept if _is_worth_a_look(each)])
    made = {
        each.transaction.transaction_id: Outcome(each.transaction.transaction_id, answer_of(each.decision), is_new=True)
        for each in kept
    }
    if lost := [each for each in transactions if each.transaction_id not in made]:
        # Another call was faster with these; it has committed, or they would not be known to be there.
        made |= {outcome.transaction_id: outcome for outcome in assess(lost)}
    return made


def _store(assessed: Sequence[Assessed], stored: Mapping[str, Any]) -> set[str]:
    """Ids of the transactions that have got their answers from this call."""
    new = [each for each in assessed if each.transaction.transaction_id not in stored]
    imported = [each for each in assessed if each.transaction.transaction_id in stored]
    mine = claim_transactions([each.transaction for each in imported], [each.decision for each in imported])
    store_decisions([each.decision for each in imported if each.transaction.transaction_id in mine])
    return mine | store_transactions([each.transaction for each in new], [each.decision for each in new])


def _decide(
    transaction: NewTransaction,
    features: dict[str, float | None],
    scored: engine.Scored,
    judgement: Judgement,
    settings: RiskSettings,
    *,
    is_late: bool,
    was_imported: bool,
) -> Assessed:
    score, reasons = _score(features, scored)
    actions = {hit.action for hit in judgement.hits}
    if scored.probability is None and scored.anomaly is not None and scored.anomaly >= settings.review_anomaly_above:
        reasons = [*engine.reasons(features, scored.contributions), *reasons]
        actions.add(RiskAction.REVIEW)
    verdict = decide(score, actions, settings)
    request = {
        "transaction_id": transaction.transaction_id,
        "occurred_at": transaction.occurred_at.isoformat(),
        "given_at": None if transaction.given_at is None else transaction.given_at.isoformat(),
        "was_imported": was_imported,
        "amount": transaction.amount,
        "currency": transaction.currency,
        "given_amount": transaction.given_amount,
        "type": transaction.type,
        "counterparty": transaction.counterparty,
        "features": {name: value for name, value in features.items() if value is not None},
        "anomaly": scored.anomaly,
        "members": dict(scored.members),
        "events": list(scored.events),
        "rules": [_hit(hit) for hit in judgement.hits],
        "shadow_rules": [_hit(hit) for hit in judgement.shadow_hits],
        "notices": _notices(transaction, settings, is_late=is_late),
    }
    decision = Decision(
        decision_id=uuid7(),
        decided_at=timezone.now(),
        application=APPLICATION,
        scenario=SCENARIO,
        subject_key=transaction.subject_key,
        model_version=scored.model_version,
        policy=POLICY,
        degraded=scored.degraded,
        request=request,
        items=[
            {
                "id": str(verdict),
                "rank": 1,
                "score": score,
                "propensity": 1.0,
                "reasons": [reason.to_dict() for reason in reasons],
                "rules": [hit.key for hit in judgement.hits],
            }
        ],
    )
    return Assessed(transaction, decision)


def _score(features: Mapping[str, float | None], scored: engine.Scored) -> tuple[float, list[engine.ReasonCode]]:
    if scored.probability is None:
        return points_score(features)
    return scored.probability, engine.reasons(features, scored.contributions)


def _hit(hit: RuleHit) -> dict[str, Any]:
    return {"key": hit.key, "name": hit.name, "version": hit.version, "action": hit.action, "severity": hit.severity}


def _notices(transaction: NewTransaction, settings: RiskSettings, *, is_late: bool) -> list[dict[str, str]]:
    notices = []
    if transaction.given_amount is None and transaction.currency != settings.currency:
        own = settings.currency
        notices.append(
            {
                "code": "no_rate",
                "text": f"the desk has no rate from {transaction.currency} to {own}; the amount counts as if it were "
                f"{own} until there is one in exchange_rates of the risk settings",
            }
        )
    if transaction.time_quality == TimeQuality.CLAMPED:
        notices.append({"code": "clock_ahead", "text": "your clock is ahead of ours; the time of receipt was taken"})
    if is_late:
        notices.append(
            {"code": "out_of_order", "text": "a later transaction of this customer came first; it is left out here"}
        )
    return notices


def _is_worth_a_look(assessed: Assessed) -> bool:
    """The desk hears of what is not simply approved, and of what a rule wants it to hear."""
    decision = assessed.decision
    asked_for = any(rule["action"] == RiskAction.ALERT for rule in decision.request["rules"])
    return asked_for or decision.items[0]["id"] != Verdict.APPROVE


def _alert(assessed: Assessed) -> NewAlert:
    transaction, item = assessed.transaction, assessed.decision.items[0]
    return NewAlert(
        transaction_id=transaction.transaction_id,
        decision_id=assessed.decision.decision_id,
        subject_key=transaction.subject_key,
        verdict=item["id"],
        score=item["score"],
        amount=as_given(transaction),
        currency=transaction.currency,
        reasons=item["reasons"],
        rules=assessed.decision.request["rules"],
        occurred_at=transaction.occurred_at,
    )
