"""What an operator says of transactions in the console: one by one, or by a file."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from apps.risk.transactions.models import Label, Transaction
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.apps.risk.notifications.test_webhooks import raise_some
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator

PAGE = "/console/risk/label/"


@pytest.fixture
def operator(tenant: Tenant, settings: Any) -> Client:
    settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
    settings.ROOT_URLCONF = "config.urls_console"
    user = make_operator(tenant, Role.OPERATOR, f"anna@{tenant.slug}.example")
    with connected_as("console"):
        return logged_in(user)


@pytest.fixture
def transactions(tenant: Tenant) -> None:
    """t-1 and t-2, which were approved."""
    now = timezone.now()
    with tenant_scope(tenant.id):
        for name in ("t-1", "t-2"):
            Transaction.objects.create(
                tenant_id=tenant.id,
                transaction_id=name,
                event_id="0" * 32,
                occurred_at=now,
                received_at=now,
                subject_key=subject_key("user_id", "anna"),
                amount=900.0,
                currency="EUR",
            )


def say(operator: Client, **values: str) -> str:
    with connected_as("console"):
        return operator.post(f"{PAGE}add/", values, follow=True).content.decode()


def send(operator: Client, text: str) -> str:
    with connected_as("console"):
        file = SimpleUploadedFile("labels.csv", text.encode())
        return operator.post(f"{PAGE}from_file/", {"file": file}, follow=True).content.decode()


def said(tenant: Tenant) -> list[tuple[str, str, str]]:
    with tenant_scope(tenant.id):
        return list(Label.objects.order_by("id").values_list("transaction_id", "kind", "source"))


@pytest.mark.usefixtures("transactions")
def test_a_missed_fraud_is_labelled_by_hand(tenant: Tenant, operator: Client) -> None:
    page = say(operator, transaction_id="t-1", kind="fraud", note="the customer called")
    assert "t-1 is labelled: Fraud" in page
    assert "the customer called" in page
    assert said(tenant) == [("t-1", "fraud", "console")]
    with tenant_scope(tenant.id):
        assert Label.objects.get().actor == f"anna@{tenant.slug}.example"
        assert Transaction.objects.get(transaction_id="t-1").fraud_known_at is not None


@pytest.mark.usefixtures("transactions")
@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"transaction_id": "t-9", "kind": "fraud"}, "is not known: send the transaction first"),
        ({"transaction_id": "t-1", "kind": "fraud", "known_at_0": "2020-01-01", "known_at_1": "00:00"}, "lies before"),
        (
            {"transaction_id": "t-1", "kind": "fraud", "known_at_0": "2999-01-01", "known_at_1": "00:00"},
            "in the future",
        ),
    ],
)
def test_a_label_that_cannot_be_is_refused_at_its_field(
    tenant: Tenant, operator: Client, values: dict[str, str], why: str
) -> None:
    assert why in say(operator, **values)
    assert said(tenant) == []


@pytest.mark.usefixtures("transactions")
def test_one_operator_does_not_clear_what_takes_two(tenant: Tenant, operator: Client) -> None:
    with tenant_scope(tenant.id):
        raise_some("t-1", score=0.9)
    assert "takes two: decide in case 1" in say(operator, transaction_id="t-1", kind="genuine")
    assert "takes two: decide in case 1" in send(operator, "transaction_id,kind\nt-1,false_alarm\nt-2,genuine\n")
    say(operator, transaction_id="t-1", kind="chargeback")
    assert said(tenant) == [("t-2", "genuine", "file"), ("t-1", "chargeback", "console")]


@pytest.mark.usefixtures("transactions")
def test_each_row_of_a_file_is_answered_for(tenant: Tenant, operator: Client) -> None:
    page = send(operator, "transaction_id,kind,note\nt-1,fraud,\nt-2,stolen,\nt-9,fraud,\nt-2,genuine,a,b\n")
    assert said(tenant) == [("t-1", "fraud", "file")]
    assert "kind must be one of fraud" in page
    assert "transaction_id is not known" in page
    assert "has 4 cells where the header names 3" in page
    assert "needs the columns transaction_id and kind" in send(operator, "id,kind\nt-1,fraud\n")
    assert "labels.csv: is empty" in send(operator, "\n")


@pytest.mark.usefixtures("transactions")
def test_labels_are_found_by_their_transaction(operator: Client) -> None:
    say(operator, transaction_id="t-1", kind="fraud")
    say(operator, transaction_id="t-2", kind="genuine")
    with connected_as("console"):
        found = operator.get(f"{PAGE}?transaction=t-2").content.decode()
    assert "t-2" in found
    assert ">t-1<" not in found
