"""The desk's verdicts become labels, the operator trains on them in the console, and the new model scores better.

The history is made so that the old model is wrong twice: it knows large amounts as fraud, and by now they are what a
season brings; and it has never seen the bursts of small payments that the desk confirms here.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from apps.risk.assessments.settings import change_settings
from apps.risk.rules.models import RiskRuleMode
from apps.risk.rules.services import create_rule, set_mode
from apps.risk.transactions.projection import project_transactions
from behavior.services import store_events
from ml.simulation.transactions import KINDS, SimulatedTransactions, TransactionWorld, simulate_transactions
from serving.models import RunStatus, TrainingRun
from serving.selectors import live_version
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.browser.conftest import slow_hash
from tests.conftest import ApiClient
from tests.platform.console.furnishing import make_operator
from tests.processes import Process
from tests.waiting import until

pytestmark = pytest.mark.browser

CUSTOMERS = 200
DAYS_BEFORE, DAYS_SINCE = 40, 20
BURST, OUTLIER = KINDS.index("compromised_card"), KINDS.index("amount_outlier")
# Trees alone: this takes a second. Both runs have a newest part with enough frauds to judge by.
OLD_SETTINGS = {"encoder": "none", "genuine_share": 1.0, "trees": 15, "validation_quantile": 0.5, "test_quantile": 0.75}
NEW_SETTINGS = '{"encoder": "none", "genuine_share": 1.0, "validation_quantile": 0.7, "test_quantile": 0.85}'
# Customers of whom nobody has said anything, and the two kinds as these make them.
UNTOUCHED = range(CUSTOMERS, CUSTOMERS + 12)
PAYMENTS_OF_A_BURST = [{"amount": amount} for amount in (80.0, 95.0, 70.0, 110.0, 90.0, 85.0)]
LARGE = [{"amount": 350.0, "device": "device-of-a-season"}]


def world(begins: datetime, days: int, *, outliers: int, cards: int) -> SimulatedTransactions:
    return simulate_transactions(
        TransactionWorld(
            customers=CUSTOMERS,
            counterparties=60,
            days=days,
            begins=begins.timestamp(),
            compromised_counterparties=0,
            compromised_cards=cards,
            takeovers=0,
            outliers=outliers,
            rings=0,
            label_delay_days=0.5,
            reported_share=1.0,
            false_alarm_share=0.0,
            seed=3,
        )
    )


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def payment(made: SimulatedTransactions, row: int, name: str) -> dict[str, Any]:
    """As `POST risk/assessments` takes it."""
    columns = made.columns
    things = {"device": int(columns.device[row]), "card": int(columns.card[row])}
    return {
        "transaction_id": f"{name}-{row}",
        "subject": {"user_id": f"c-{columns.customer[row]}"},
        "amount": float(columns.amount[row]),
        "currency": "EUR",
        "type": columns.types[columns.type[row]],
        "counterparty": f"shop-{columns.counterparty[row]}",
        "occurred_at": moment(columns.time[row]),
        **{thing: f"{thing}-{code}" for thing, code in things.items() if code >= 0},
    }


def event(made: SimulatedTransactions, row: int, name: str, *, labelled: bool) -> dict[str, Any]:
    """As it is imported; a fraud with the day on which it was known, where the world tells."""
    said = payment(made, row, name)
    properties = {key: said[key] for key in ("transaction_id", "device", "card") if key in said}
    if labelled and made.kind[row]:
        properties |= {"fraud": True, "fraud_known_at": moment(made.columns.fraud_known_at[row])}
    return {
        "message_id": said["transaction_id"],
        "type": said["type"],
        "subject": said["subject"],
        "value": said["amount"],
        "currency": "EUR",
        "created_at": said["occurred_at"],
        "item_id": said["counterparty"],
        "properties": properties,
    }


def import_events(tenant: Tenant, events: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(events), 5_000):
        with tenant_scope(tenant.id):
            counts = store_events(events=events[start : start + 5_000], source="test", historical=True).counts
        assert counts["ok"] == len(events[start : start + 5_000])
    with tenant_scope(tenant.id):
        assert project_transactions(wait=True) == len(events)


def trained(tenant: Tenant, run_id: str) -> None:
    def has_succeeded() -> bool:
        with tenant_scope(tenant.id):
            run = TrainingRun.objects.get(id=run_id)
        assert run.status != RunStatus.FAILED, run.error
        return run.status == RunStatus.SUCCEEDED

    until(has_succeeded)


@pytest.fixture
def desk(tenant: Tenant, api: ApiClient, start_worker: Callable[..., Process]) -> SimulatedTransactions:
    """A desk whose model was trained twenty days ago, and all that came since but the bursts; gives those days."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    middle = midnight - timedelta(days=DAYS_SINCE + 2)
    before = world(middle - timedelta(days=DAYS_BEFORE), DAYS_BEFORE, outliers=150, cards=0)
    since = world(middle, DAYS_SINCE, outliers=75, cards=16)
    with tenant_scope(tenant.id):
        types = ["card_present", "card_not_present"]
        change_settings({"label_delay_days": 1.0, "event_types": types}, actor="test")
        rule = create_rule(
            actor="test",
            name="Card far from its device",
            expression='type == "card_not_present" and device is missing',
            action="alert",
            severity="medium",
        )
        set_mode(rule_id=rule.id, mode=RiskRuleMode.LIVE, actor="test")
    import_events(tenant, [event(before, row, "before", labelled=True) for row in range(len(before.kind))])
    start_worker(queues="train")
    asked = api.post("training-runs", {"model": "risk", "task": "risk", "config": OLD_SETTINGS})
    assert asked.status_code == 201, asked.content
    # The delay is the desk's own, since the run's settings do not name another.
    assert asked.json()["config"]["label_delay_days"] == 1.0
    trained(tenant, asked.json()["id"])
    others = np.flatnonzero(since.kind != BURST)
    import_events(tenant, [event(since, int(row), "since", labelled=False) for row in others])
    return since


def ask(api: ApiClient, payments: Sequence[dict[str, Any]]) -> list[float]:
    """Scores that the live model gives."""
    answer = api.post("risk/assessments/batch", {"transactions": payments}).json()
    assert answer["counts"]["ok"] == len(payments), answer
    assessments = [result["assessment"] for result in answer["results"]]
    assert all(each["degraded"] is None for each in assessments)
    return [each["score"] for each in assessments]


def month_and(customer: int, name: str, last: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A customer's quiet month, and what comes then, a minute apart up to now."""
    now = datetime.now(UTC)
    quiet = [
        {"amount": 30.0 + day % 7, "occurred_at": (now - timedelta(days=day)).isoformat()} for day in range(2, 30, 3)
    ]
    ends = [{"occurred_at": (now - timedelta(minutes=left)).isoformat()} for left in range(len(last) - 1, 0, -1)]
    return [
        {
            "transaction_id": f"{name}-{customer}-{number}",
            "subject": {"user_id": f"c-{customer}"},
            "currency": "EUR",
            "type": "card_not_present",
            "card": f"card-{customer}",
            "counterparty": f"shop-{(customer + number) % 60}",
            **each,
        }
        for number, each in enumerate([*quiet, *({**one, **when} for one, when in zip(last, [*ends, {}], strict=True))])
    ]


def scores_of_last(api: ApiClient, name: str, customers: Sequence[int], last: Sequence[dict[str, Any]]) -> list[float]:
    """What the live model says of the last of these transactions, for each customer."""
    return [ask(api, month_and(customer, name, last))[-1] for customer in customers]


def test_verdicts_are_trained_on_in_the_console_and_the_new_model_scores_better(
    page: Page, log_in: Callable[[str], None], desk: SimulatedTransactions, tenant: Tenant, api: ApiClient
) -> None:
    email = f"desk@{tenant.slug}.example"
    with slow_hash():
        make_operator(tenant, Role.OPERATOR, email)
    # The bursts come in, each with an alert, and the old model thinks nothing of them.
    seen = ask(api, [payment(desk, int(row), "since") for row in np.flatnonzero(desk.kind == BURST)])
    assert median(seen) < 0.05
    log_in(email)
    page.goto("/console/risk/case/")
    expect(page.locator("#result_list tbody tr")).to_have_count(16)
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("confirm_selected")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("16 cases are confirmed as fraud.")).to_be_visible()

    old_large = scores_of_last(api, "large", UNTOUCHED[:3], LARGE)
    old_burst = scores_of_last(api, "burst", UNTOUCHED[3:6], PAYMENTS_OF_A_BURST)
    with tenant_scope(tenant.id):
        old = live_version("risk")

    page.goto("/console/serving/trainingrun/add/")
    page.get_by_label("Model").fill("risk")
    page.locator("[name=task]").fill("risk")
    page.get_by_label("Settings").fill(NEW_SETTINGS)
    page.locator("[name=_save]").click()
    expect(page.get_by_text("The run is queued; this page follows it.")).to_be_visible()
    expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=240_000)
    with tenant_scope(tenant.id):
        new = live_version("risk")
    assert old is not None
    assert new is not None
    assert new.number == old.number + 1, new.reasons

    # The same kinds of transactions, of other customers.
    new_large = scores_of_last(api, "large", UNTOUCHED[6:9], LARGE)
    new_burst = scores_of_last(api, "burst", UNTOUCHED[9:12], PAYMENTS_OF_A_BURST)
    assert median(new_burst) > median(old_burst) + 0.2
    assert median(new_large) < median(old_large) - 0.1
