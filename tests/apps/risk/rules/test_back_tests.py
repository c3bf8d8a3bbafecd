"""Back-tests over stored transactions, against figures that are worked out by hand."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.risk import engine
from apps.risk.assessments.settings import change_settings
from apps.risk.back_tests import history as back_test_history
from apps.risk.back_tests.history import read_history
from apps.risk.back_tests.models import BackTest
from apps.risk.back_tests.services import tend
from apps.risk.models import Transaction
from apps.risk.rules.dry_runs import facts_of_stored
from apps.risk.rules.fields import read_expression
from apps.risk.rules.models import RiskRule
from apps.risk.tasks import run_back_test
from decisions.services import record_decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tenancy.tasks import TENANT_HEADER
from tests.conftest import ApiClient
from tests.processes import Process
from tests.queries import CapturedQueries
from tests.waiting import until

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
FIRST = TODAY - timedelta(days=20)
ADDRESS = "risk/rules/back-tests"


def store(tenant: Tenant, *rows: dict[str, Any]) -> None:
    """Rows of {at, amount, customer, ...}; the others take defaults."""
    with tenant_scope(tenant.id):
        Transaction.objects.bulk_create(
            Transaction(
                transaction_id=row.get("id", f"t-{number}"),
                event_id=uuid7(),
                occurred_at=row["at"],
                received_at=row["at"],
                subject_key=subject_key("user_id", row.get("customer", "u1")),
                amount=row["amount"],
                currency="EUR",
                counterparty=row.get("counterparty"),
                card_key=subject_key("card", row["card"]) if "card" in row else None,
                country=row.get("country"),
                properties=row.get("properties"),
                fraud_known_at=row["at"] + timedelta(days=1) if row.get("fraud") else None,
                cleared_at=row["at"] + timedelta(days=2) if row.get("cleared") else None,
            )
            for number, row in enumerate(rows)
        )


def run(api: ApiClient, tenant: Tenant, *, days: int = 20, **body: Any) -> dict[str, Any]:
    span = {"from": FIRST.date().isoformat(), "to": (FIRST + timedelta(days=days)).date().isoformat()}
    answer = api.post(ADDRESS, span | body)
    assert answer.status_code == 202, answer.content
    run_back_test.apply(kwargs={"back_test_id": answer.json()["id"]}, headers={TENANT_HEADER: tenant.id}, throw=True)
    done: dict[str, Any] = api.get(f"{ADDRESS}/{answer.json()['id']}").json()
    assert done["status"] == "succeeded", done["error"]
    return done


@pytest.fixture
def history(tenant: Tenant) -> Tenant:
    """Twenty days, each with a small and a large payment. Large ones of even days are fraud; one was cleared."""
    rows = []
    for day in range(20):
        at = FIRST + timedelta(days=day, hours=12)
        rows.append({"at": at, "amount": 10.0, "customer": f"u{day % 3}", "country": "DE"})
        rows.append(
            {"at": at, "amount": 300.0 + day, "customer": f"u{day % 3}", "fraud": day % 2 == 0, "cleared": day == 4}
        )
    store(tenant, *rows)
    return tenant


def test_alerts_precision_recall_and_money_are_those_of_the_mature_days(history: Tenant, api: ApiClient) -> None:
    live = api.post("risk/rules", {"name": "Larger", "expression": "amount > 310", "action": "review"}).json()
    api.post(f"risk/rules/{live['id']}/publish", {})
    done = run(api, history, expression="amount > 305", action="decline")
    assert (done["from"], done["to"]) == (FIRST.date().isoformat(), (FIRST + timedelta(days=20)).date().isoformat())
    report = done["report"]

    # Alerts are days 6 to 19; days 0 to 12 are mature, and hold frauds on 0, 2, 6, 8, 10 and 12.
    assert (report["transactions"], report["alerts"]) == (40, 14)
    assert report["alerts_a_day"] == pytest.approx(14 / 21)
    assert [day["mature"] for day in report["days"]] == [True] * 13 + [False] * 8
    assert (report["mature_alerts"], report["frauds"], report["caught"]) == (7, 6, 4)
    assert report["precision"] == pytest.approx(4 / 7)
    assert report["recall"] == pytest.approx(4 / 6)
    assert report["amount_recall"] == pytest.approx((306 + 308 + 310 + 312) / (300 + 302 + 306 + 308 + 310 + 312))
    assert report["overlap"] == [{"key": "larger", "hits": 9, "shared": 9}]
    assert report["new_alerts"] == 5
    assert report["sample"][0]["amount"] == 319.0
    assert report["days"][4]["frauds"] == 0
    assert sum(day["alerts"] for day in report["days"]) == 14


def test_a_desk_that_knows_its_frauds_sooner_counts_more_days(history: Tenant, api: ApiClient) -> None:
    with tenant_scope(history.id):
        change_settings({"label_delay_days": 2}, actor="test")
    report = run(api, history, expression="amount > 305", action="decline")["report"]
    assert [day["mature"] for day in report["days"]] == [True] * 18 + [False] * 3


def test_velocity_lists_and_properties_are_as_the_assessment_had_them(tenant: Tenant, api: ApiClient) -> None:
    noon = FIRST + timedelta(hours=12)
    store(
        tenant,
        {"at": noon - timedelta(days=3), "amount": 10.0, "card": "c1"},
        {"at": noon, "amount": 100.0, "card": "c1", "properties": {"channel": "web"}},
        {"at": noon + timedelta(minutes=5), "amount": 30.0, "card": "c2", "counterparty": "T-1", "country": "PL"},
        {"at": noon + timedelta(days=1), "amount": 5.0, "customer": "u2"},
    )
    cards = api.post("risk/lists", {"name": "cards", "kind": "watch", "field": "card"}).json()
    api.post(f"risk/lists/{cards['id']}/entries", {"entries": [{"value": "c2"}]})

    def hits(expression: str) -> set[str]:
        done = run(api, tenant, expression=expression)
        return {each["transaction_id"] for each in done["report"]["sample"]}

    assert hits("customer_count_1h >= 2") == {"t-2"}
    # The payment three days before the first tested day belongs to the customer's past.
    assert hits("amount_to_customer_mean_30d > 9") == {"t-1"}
    assert hits('in_list("cards", card)') == {"t-2"}
    assert hits('properties.channel == "web"') == {"t-1"}
    assert hits('counterparty == "T-1" and country in ["PL"] and card is not missing') == {"t-2"}
    assert hits("card is missing or score > 0.1") == {"t-3"}
    assert hits("amount > 1e6") == set()


def test_a_dry_run_of_a_stored_transaction_sees_the_same_features(history: Tenant, api: ApiClient) -> None:
    expression = "amount > customer_amount_mean_7d and customer_count_30d >= 3"
    done = run(api, history, expression=expression)
    named = {each["transaction_id"] for each in done["report"]["sample"]}
    for number in (1, 7, 9, 39):
        answer = api.post("risk/rules/dry-run", {"expression": expression, "transaction_id": f"t-{number}"})
        assert answer.status_code == 200, answer.content
        assert answer.json()["holds"] == (f"t-{number}" in named)
    with tenant_scope(history.id):
        read = read_history([read_expression(expression)], FIRST, TODAY + timedelta(days=1))
        column = engine.velocity_features(read.log)[:, engine.FEATURES.index("customer_amount_mean_7d")]
        row = read.table["transaction_id"].to_pylist().index("t-39")
    parts = {part["text"]: part["value"] for part in answer.json()["parts"]}
    assert parts["customer_amount_mean_7d"] == pytest.approx(float(column[row]))


def test_a_dry_run_reads_no_more_than_an_assessment(
    history: Tenant, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much there is of its parties, which a back-test might refuse to read."""
    monkeypatch.setattr(back_test_history, "MOST_TRANSACTIONS", 1)
    with tenant_scope(history.id):
        stored = Transaction.objects.get(transaction_id="t-39")
        with CapturedQueries() as queries:
            facts = facts_of_stored(stored)
    assert len(queries) == 1
    # The customer pays twice on seven days; of the last day the other one is made at the same moment.
    assert facts["customer_count_30d"] == 13
    body = {"expression": "customer_count_30d == 13", "transaction_id": "t-39"}
    assert api.post("risk/rules/dry-run", body).json()["holds"]


def test_a_text_that_looks_like_nothing_is_a_text(tenant: Tenant, api: ApiClient) -> None:
    """NA is Namibia, and somebody's ids may read NULL or nan."""
    at = FIRST + timedelta(hours=12)
    texts = ("NA", "NULL", "nan")
    store(tenant, *({"at": at, "amount": 9.0, "id": text, "counterparty": text, "country": "NA"} for text in texts))
    done = run(api, tenant, expression='country == "NA" and counterparty in ["NA", "NULL", "nan"]')
    assert {each["transaction_id"] for each in done["report"]["sample"]} == set(texts)
    for text in texts:
        answer = api.post("risk/rules/dry-run", {"expression": 'country == "NA"', "transaction_id": text})
        assert (answer.status_code, answer.json()["holds"]) == (200, True)


def test_chunks_give_what_one_piece_gives(history: Tenant, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    expression = "customer_count_7d >= 4 and amount > customer_amount_mean_30d"
    whole = run(api, history, expression=expression)["report"]
    assert whole["alerts"]
    monkeypatch.setattr(back_test_history, "ROWS_AT_ONCE", 7)
    assert run(api, history, expression=expression)["report"] == whole


def test_a_rule_is_tested_by_its_id_and_not_against_itself(history: Tenant, api: ApiClient) -> None:
    rule = api.post("risk/rules", {"name": "Large", "expression": "amount > 250", "action": "review"}).json()
    api.post(f"risk/rules/{rule['id']}/publish", {})
    done = run(api, history, rule=rule["id"])
    assert (done["expression"], done["action"], done["rule"]) == ("amount > 250", "review", rule["id"])
    assert done["report"]["overlap"] == []
    assert api.get(ADDRESS).json()["results"][0]["id"] == done["id"]


def test_a_rule_outside_of_its_days_is_not_live(history: Tenant, api: ApiClient) -> None:
    now = timezone.now()
    tomorrow = {"starts_at": (now + timedelta(days=1)).isoformat()}
    for name, days in (("Over", {}), ("To come", tomorrow), ("Due", {"starts_at": now.isoformat()})):
        rule = api.post("risk/rules", {"name": name, "expression": "amount > 310", "action": "review"} | days).json()
        assert api.post(f"risk/rules/{rule['id']}/publish", {}).status_code == 200
    with tenant_scope(history.id):
        RiskRule.objects.filter(key="over").update(ends_at=now)
    report = run(api, history, expression="amount > 305")["report"]
    assert [each["key"] for each in report["overlap"]] == ["due"]


def test_a_real_worker_takes_it(history: Tenant, api: ApiClient, start_worker: Callable[..., Process]) -> None:
    start_worker(queues="slow")
    day = FIRST.date().isoformat()
    made = api.post(ADDRESS, {"expression": "amount > 1", "from": day, "to": day}).json()
    until(lambda: api.get(f"{ADDRESS}/{made['id']}").json()["status"] in ("succeeded", "failed"))
    assert api.get(f"{ADDRESS}/{made['id']}").json()["report"]["alerts"] == 2


def test_what_cannot_be_read_is_said(
    history: Tenant, api: ApiClient, other_api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = FIRST.date().isoformat()
    later = (timezone.now() + timedelta(days=2)).date().isoformat()
    for body, field in (
        ({"expression": "amount >", "from": day, "to": day}, "expression"),
        ({"expression": "amount > 1", "from": day, "to": "2000-01-01"}, "to"),
        ({"expression": "amount > 1", "from": day, "to": later}, "to"),
        ({"expression": "amount > 1", "from": "2001-01-01", "to": day}, "to"),
        ({"expression": "amount > 1", "to": day}, "from"),
        ({"rule": str(uuid7()), "from": day, "to": day}, "rule"),
    ):
        answer = api.post(ADDRESS, body)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == field
    made = api.post(ADDRESS, {"expression": "amount > 1", "from": day, "to": day}).json()
    assert other_api.get(f"{ADDRESS}/{made['id']}").status_code == 404
    monkeypatch.setattr(back_test_history, "MOST_TRANSACTIONS", 1)
    run_back_test.apply(kwargs={"back_test_id": made["id"]}, headers={TENANT_HEADER: history.id}, throw=True)
    failed = api.get(f"{ADDRESS}/{made['id']}").json()
    assert failed["status"] == "failed"
    assert "choose fewer days" in failed["error"]
    for _ in range(5):
        assert api.post(ADDRESS, {"expression": "amount > 1", "from": day, "to": day}).status_code == 202
    assert api.post(ADDRESS, {"expression": "amount > 1", "from": day, "to": day}).status_code == 409
    with tenant_scope(history.id):
        assert BackTest.objects.count() == 6


def test_a_back_test_that_its_worker_left_is_given_up(history: Tenant, api: ApiClient) -> None:
    day = FIRST.date().isoformat()
    made = api.post(ADDRESS, {"expression": "amount > 1", "from": day, "to": day}).json()
    with tenant_scope(history.id):
        # It may wait for long, and is announced again, in case its message was lost.
        BackTest.objects.update(created_at=timezone.now() - timedelta(hours=3))
        assert tend() == 0
        BackTest.objects.update(status="running", started_at=timezone.now() - timedelta(minutes=50))
        assert tend() == 0
        BackTest.objects.update(started_at=timezone.now() - timedelta(hours=2))
        assert tend() == 1
    ended = api.get(f"{ADDRESS}/{made['id']}").json()
    assert (ended["status"], "start it again" in ended["error"]) == ("failed", True)


def test_the_score_is_that_of_the_assessment_where_a_model_of_frauds_answered(tenant: Tenant, api: ApiClient) -> None:
    noon = FIRST + timedelta(hours=12)
    store(tenant, *({"at": noon + timedelta(minutes=number), "amount": 10.0} for number in range(4)))
    with tenant_scope(tenant.id):
        for name, score, version, anomaly in (
            ("t-0", 0.9, uuid7(), None),
            ("t-1", 0.95, None, None),
            ("t-2", 0.2, uuid7(), None),
            # The points beside an anomaly, which rules see no more than other points.
            ("t-3", 0.95, uuid7(), 0.99),
        ):
            decision = record_decision(
                decision_id=uuid7(),
                application="risk",
                scenario="transactions",
                policy="thresholds and rules",
                items=[{"id": "review", "rank": 1, "score": score, "rules": []}],  # type: ignore[typeddict-item]
                request={"anomaly": anomaly},
                latency_ms=1.0,
                model_version=version,
            )
            Transaction.objects.filter(transaction_id=name).update(decision_id=decision.decision_id)
    done = run(api, tenant, expression="score > 0.5")
    assert [each["transaction_id"] for each in done["report"]["sample"]] == ["t-0"]
    for name, holds in (("t-0", True), ("t-1", False), ("t-2", False), ("t-3", False)):
        answer = api.post("risk/rules/dry-run", {"expression": "score > 0.5", "transaction_id": name})
        assert answer.json()["holds"] == holds
