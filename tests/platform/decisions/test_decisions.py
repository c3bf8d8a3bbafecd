"""Decisions are stored once with what stood behind them, and joined with what came of them."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import InternalError, ProgrammingError, connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from behavior.models import Event
from decisions.models import Decision, Scenario
from decisions.selectors import decision_with_outcomes, get_decision
from decisions.services import define_scenario, record_decision
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.queries import CapturedQueries

SERVED = [
    {"id": "tent", "rank": 1, "score": 0.6, "propensity": 0.8, "reasons": [{"event": 0}], "rules": []},
    {"id": "stove", "rank": 2, "score": 0.1, "propensity": 0.5, "reasons": [], "rules": ["boost"]},
]


def record(**changes: object) -> Decision:
    values = {
        "decision_id": uuid7(),
        "application": "recommendation",
        "scenario": "home",
        "policy": "greedy",
        "request": {"count": 2},
        "items": SERVED,
        "latency_ms": 3.5,
        "subject_key": b"s" * 32,
    }
    return record_decision(**(values | changes))


def test_decision_is_one_insert_and_reads_back_as_it_was(scope: Tenant) -> None:
    with CapturedQueries() as queries:
        recorded = record(degraded="rules", model_version=uuid4())
    assert [query["sql"].split()[0] for query in queries] == ["INSERT"]

    stored = get_decision(recorded.decision_id)
    assert stored.items == SERVED
    assert stored.degraded == "rules"
    assert stored.model_version == recorded.model_version
    assert bytes(stored.subject_key) == b"s" * 32


def test_outcomes_are_the_events_that_name_the_decision(scope: Tenant) -> None:
    decision = record()
    now = timezone.now()
    for minutes, type_, item, decision_id in [
        (2, "purchase", "tent", decision.decision_id),
        (1, "click", "tent", decision.decision_id),
        (3, "click", "stove", uuid7()),
    ]:
        Event.objects.create(
            received_at=now,
            occurred_at=now + timedelta(minutes=minutes),
            time_quality="server",
            subject_key=b"s" * 32,
            type=type_,
            item_id=item,
            decision_id=decision_id,
            source="test",
        )

    found = decision_with_outcomes(decision.decision_id)

    assert [event.type for event in found.outcomes] == ["click", "purchase"]
    assert [item["outcomes"] for item in found.items()] == [["click", "purchase"], []]


def test_decisions_can_not_be_changed(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        decision = record()
    for statement in ("UPDATE decisions_decision SET policy = 'other'", "DELETE FROM decisions_decision"):
        with pytest.raises(ProgrammingError, match="permission denied"), tenant_scope(tenant.id):
            connection.cursor().execute(statement)
    with tenant_scope(tenant.id):
        assert get_decision(decision.decision_id).policy == "greedy"


def test_another_tenant_finds_nothing(tenant: Tenant, other_tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        decision = record()
    with tenant_scope(other_tenant.id), pytest.raises(Decision.DoesNotExist):
        get_decision(decision.decision_id)


@pytest.mark.parametrize("strange", [UUID(int=0), UUID(int=2**128 - 1), uuid4()])
def test_an_id_that_is_no_decision_is_not_found(scope: Tenant, strange: UUID) -> None:
    with pytest.raises(Decision.DoesNotExist):
        get_decision(strange)


def test_scenario_is_defined_once_per_key(scope: Tenant) -> None:
    define_scenario(key="home", name="Home", application="recommendation", kind="personalised", model="next-item")
    define_scenario(key="home", name="Front page", application="recommendation", kind="popular")

    scenario = Scenario.objects.get()
    assert (scenario.name, scenario.kind, scenario.model) == ("Front page", "popular", "")


def test_scenario_with_an_unusable_key_names_the_field(scope: Tenant) -> None:
    with pytest.raises(ValidationError) as refused, transaction.atomic():
        define_scenario(key="not a slug", name="Home", application="recommendation", kind="popular")
    assert "key" in refused.value.message_dict


def test_a_partition_can_not_be_read_around_the_policies(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        record()
    partition = f"parts.decisions_decision_{timezone.now():%Y%m}"
    with pytest.raises((ProgrammingError, InternalError), match="permission denied"), tenant_scope(tenant.id):
        connection.cursor().execute(f"SELECT count(*) FROM {partition}")
