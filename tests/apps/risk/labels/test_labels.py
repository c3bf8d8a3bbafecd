"""Labels: dated, kept, and what follows for the transaction."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.risk.labels.services import Known, NewLabel, record_labels, what_is_known
from apps.risk.transactions.models import Label, Transaction
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

NOW = datetime.now(UTC)


def day(number: int) -> datetime:
    return NOW - timedelta(days=20 - number)


@pytest.fixture
def transaction(api: ApiClient, tenant: Tenant) -> str:
    body = {"transaction_id": "t-1", "subject": {"user_id": "u"}, "amount": 5, "currency": "EUR"}
    api.post("risk/assessments", body | {"occurred_at": day(0).isoformat()})
    return "t-1"


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        ([], Known(None, None)),
        ([("fraud", day(1))], Known(day(1), None)),
        ([("fraud", day(1)), ("chargeback", day(3))], Known(day(1), None)),
        ([("fraud", day(1)), ("false_alarm", day(2)), ("genuine", day(3))], Known(day(1), day(2))),
        ([("fraud", day(1)), ("false_alarm", day(2)), ("chargeback", day(5))], Known(day(5), None)),
        ([("genuine", day(1))], Known(None, day(1))),
        ([("genuine", day(1)), ("fraud", day(2))], Known(day(2), None)),
    ],
)
def test_the_newest_word_counts_from_when_it_was_first_said(labels: list, known: Known) -> None:
    assert what_is_known(labels) == known


@given(st.lists(st.sampled_from(["fraud", "chargeback", "false_alarm", "genuine"]), min_size=1))
def test_a_transaction_is_fraud_now_where_its_last_label_says_so(kinds: list[str]) -> None:
    known = what_is_known([(kind, day(number)) for number, kind in enumerate(kinds)])
    is_fraud = known.fraud_known_at is not None and known.cleared_at is None
    assert is_fraud == (kinds[-1] in ("fraud", "chargeback"))
    assert known.fraud_known_at is None or known.cleared_at is None or known.fraud_known_at < known.cleared_at


def test_labels_in_any_order_and_twice_give_the_same(transaction: str, tenant: Tenant) -> None:
    said = [NewLabel("t-1", "false_alarm", day(5)), NewLabel("t-1", "fraud", day(3)), NewLabel("t-1", "fraud", day(4))]
    with tenant_scope(tenant.id):
        first = record_labels(labels=said, source="console", actor="Ada")
        again = record_labels(labels=said[::-1], source="console", actor="Ada")
        stored = Transaction.objects.get(transaction_id="t-1")
        assert Label.objects.count() == 3
    assert {result.result for result in first} == {"ok"}
    assert {result.result for result in again} == {"duplicate"}
    assert (stored.fraud_known_at, stored.cleared_at) == (day(3), day(5))


def test_each_label_of_a_call_is_answered_on_its_own(api: ApiClient, transaction: str, tenant: Tenant) -> None:
    answer = api.post(
        "risk/labels",
        {
            "labels": [
                {"transaction_id": "t-1", "kind": "fraud", "known_at": day(1).isoformat(), "note": "called"},
                {"transaction_id": "t-1", "kind": "fraud", "known_at": day(1).isoformat()},
                {"transaction_id": "unknown", "kind": "fraud"},
                {"transaction_id": "t-1", "kind": "theft"},
                {"transaction_id": "t-1", "kind": "fraud", "known_at": day(-3).isoformat()},
                {"transaction_id": "t-1", "kind": "fraud", "known_at": (NOW + timedelta(days=1)).isoformat()},
                {"kind": "fraud"},
                3,
            ]
        },
    )
    assert answer.status_code == 200, answer.content
    shown = [(each["result"], each.get("errors", [{}])[0].get("field")) for each in answer.json()["results"]]
    assert shown == [
        ("ok", None),
        ("duplicate", None),
        ("invalid", "transaction_id"),
        ("invalid", "kind"),
        ("invalid", "known_at"),
        ("invalid", "known_at"),
        ("invalid", "transaction_id"),
        ("invalid", ""),
    ]
    with tenant_scope(tenant.id):
        label = Label.objects.get()
        assert Transaction.objects.get(transaction_id="t-1").fraud_known_at == day(1)
    assert (label.kind, label.source, label.note) == ("fraud", "api", "called")


def test_of_many_unknown_fields_ten_are_named_and_the_rest_counted(api: ApiClient) -> None:
    label = {"transaction_id": "t-1", "kind": "fraud", "knd": "fraud", "user_id": "u"}
    (result,) = api.post("risk/labels", label | {f"field{number}": 1 for number in range(1_000)}).json()["results"]
    fields, said = zip(*((error["field"], error["message"]) for error in result["errors"]), strict=True)
    assert fields == ("knd", "user_id", *(f"field{number}" for number in range(8)))
    assert said[0] == "is not a field of a label: did you mean 'kind'?"
    assert said[1] == "is not a field of a label: known are kind, known_at, note, transaction_id"
    assert said[-1].endswith("(992 more are unknown)")


def test_what_was_said_is_listed_newest_first(
    api: ApiClient, other_api: ApiClient, transaction: str, tenant: Tenant
) -> None:
    for kind in ("fraud", "genuine"):
        api.post("risk/labels", {"transaction_id": "t-1", "kind": kind, "note": "called"})
    listed = api.get("risk/labels?transaction_id=t-1").json()["results"]
    assert [(label["kind"], label["source"], label["note"]) for label in listed] == [
        ("genuine", "api", "called"),
        ("fraud", "api", "called"),
    ]
    assert len(api.get("risk/labels?limit=1").json()["results"]) == 1
    assert api.get("risk/labels?transaction_id=t-2").json()["results"] == []
    assert api.get("risk/labels?transaction=t-1").status_code == 400
    assert other_api.get("risk/labels").json()["results"] == []
