"""A desk at work: history, rules, a model, two weeks of assessments, and what the desk has done with some of the cases.

All of it goes through the same doors as a client's data, and only where it is missing.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from django.utils import timezone

from apps.risk.assessments.services import assess
from apps.risk.assessments.settings import MODEL, change_settings
from apps.risk.cases import services as cases
from apps.risk.cases.models import Case, CaseStatus
from apps.risk.cases.selectors import cases as case_queue
from apps.risk.demonstrations.payments import Payments, payments_until
from apps.risk.labels.reading import read_label
from apps.risk.labels.services import record_labels
from apps.risk.lists.models import EntityList
from apps.risk.lists.services import NewEntry, add_entries, create_list
from apps.risk.rules.models import RiskRule, RiskRuleMode
from apps.risk.rules.services import create_rule, set_mode
from apps.risk.transactions.models import Label
from apps.risk.transactions.projection import project_transactions
from apps.risk.transactions.reading import read_transaction
from behavior.services import store_events
from serving.models import ACTIVE_STATUSES, RunStatus, TrainingRun
from serving.selectors import training_runs
from serving.services import request_training
from tenancy.scope import tenant_scope

ACTOR = "demo"
CUSTOMERS = 200
BATCH = 5_000
ASSESSED_AT_ONCE = 200
# Trees alone: seconds instead of minutes, and all that the desk's pages show.
TRAINING = {"encoder": "none", "genuine_share": 1.0, "validation_quantile": 0.6, "test_quantile": 0.8}
RULES: list[tuple[RiskRuleMode, dict[str, Any]]] = [
    (
        RiskRuleMode.LIVE,
        {
            "name": "Far above what is usual",
            "expression": "amount > 200 and amount_to_customer_mean_30d > 6",
            "action": "review",
            "severity": "high",
        },
    ),
    (
        RiskRuleMode.LIVE,
        {
            "name": "Many payments within an hour",
            "expression": "customer_count_1h >= 4",
            "action": "alert",
            "severity": "medium",
        },
    ),
    (
        RiskRuleMode.SHADOW,
        {
            "name": "At night, somewhere new",
            "expression": "is_night and new_counterparty and amount > 100",
            "action": "review",
            "severity": "low",
        },
    ),
]
WATCHED = "Watched cards"

# What a run of the command leaves for the next one.
State = dict[str, Any]
Say = Callable[[str], None]


def fill_desk(tenant_id: int, *, state: State, save: Callable[[], None], say: Say) -> TrainingRun | None:
    """Settings, rules, a list and a history; returns the run of a model to wait for, None where one has succeeded.

    `state` keeps the end of the history, so that a run of the command that was cut off goes on with the same payments.
    """
    known = state.setdefault("risk", {"end": timezone.now().isoformat()})
    save()
    with tenant_scope(tenant_id):
        _ensure_rules()
    if "imported" not in known:
        known["imported"] = _import(tenant_id, payments_of(known).imported)
        save()
        say(f"Risk desk: {known['imported']:,} transactions imported")
    with tenant_scope(tenant_id):
        runs = training_runs(MODEL)
        if runs.filter(status=RunStatus.SUCCEEDED).exists():
            return None
        active = runs.filter(status__in=ACTIVE_STATUSES).first()
        return active or request_training(model=MODEL, task="risk", config=TRAINING, requested_by=ACTOR)


def work_at_desk(tenant_id: int, *, state: State, save: Callable[[], None], say: Say, login: str) -> None:
    """Two weeks of assessments, their labels as far as they are known, and some cases under way; once."""
    known = state["risk"]
    if "assessed" in known:
        return
    made = payments_of(known)
    now = timezone.now()
    for bodies in in_batches(made.assessed, ASSESSED_AT_ONCE):
        with tenant_scope(tenant_id):
            assess([read_transaction(body, now=now) for body in bodies])
    with tenant_scope(tenant_id):
        _work_on_cases(login)
        labels = [read_label(raw, now=now) for raw in made.labels]
        record_labels(labels=labels, source=Label.Source.API, actor=ACTOR)
    known["assessed"] = len(made.assessed)
    save()
    say(f"Risk desk: {known['assessed']:,} transactions assessed, and some of their cases decided")


def in_batches(values: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def payments_of(known: State) -> Payments:
    return payments_until(datetime.fromisoformat(known["end"]), customers=known.get("customers", CUSTOMERS))


def _ensure_rules() -> None:
    change_settings({"label_delay_days": 4.0, "daily_capacity": 40}, actor=ACTOR)
    names = set(RiskRule.objects.values_list("name", flat=True))
    for mode, fields in RULES:
        if fields["name"] not in names:
            set_mode(rule_id=create_rule(actor=ACTOR, **fields).id, mode=mode, actor=ACTOR)
    if not EntityList.objects.filter(name=WATCHED).exists():
        watched = create_list(name=WATCHED, kind="watch", field="card", actor=ACTOR)
        add_entries(list_id=watched.id, entries=[NewEntry("card-7", "reported as lost, found again")], actor=ACTOR)


def _import(tenant_id: int, events: list[dict[str, Any]]) -> int:
    for batch in in_batches(events, BATCH):
        with tenant_scope(tenant_id):
            store_events(events=batch, source=ACTOR, historical=True)
    while True:
        with tenant_scope(tenant_id):
            if project_transactions(wait=True) == 0:
                return len(events)


def _work_on_cases(login: str) -> None:
    """The operator has the worst cases: two are confirmed, one is in review with a note, one waits for other eyes."""
    worst = list(case_queue(status=CaseStatus.OPEN)[:5])
    for case, to in zip(worst, (CaseStatus.CONFIRMED, CaseStatus.CONFIRMED, CaseStatus.IN_REVIEW), strict=False):
        cases.move(case_id=case.id, to=to, actor=login)
    if len(worst) > 2:
        cases.add_note(case_id=worst[2].id, note="The customer is called back in the afternoon.", actor=login)
    for case in worst[3:4]:
        cases.move(case_id=case.id, to=CaseStatus.FALSE_ALARM, actor=ACTOR)
    for case in worst[4:5]:
        cases.move(case_id=case.id, to=CaseStatus.ESCALATED, actor=login)
    mild = Case.objects.filter(status=CaseStatus.OPEN, severity="low").order_by("number").first()
    if mild is not None:
        cases.move(case_id=mild.id, to=CaseStatus.FALSE_ALARM, actor=login)
