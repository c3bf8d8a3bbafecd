"""Histories of all persons: in order, joined by the ledger, of those alone who agree."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from behavior.clock import to_micros
from behavior.direct import JudgedEvent, store_judged
from behavior.histories import Histories, read_histories
from behavior.identity import merge
from behavior.services import store_events
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key

ALL = {"personalisation": True, "training": True}


@pytest.fixture
def store(scope: Tenant, view: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """store(("i1", 10, "ada"), ...): item, seconds ago, user, and perhaps consent."""

    def run(*events: tuple[Any, ...]) -> None:
        now = timezone.now().timestamp()
        rows = [
            view(item_id=item, created_at=now - ago, subject={"user_id": user}, consent=(consent or [ALL])[0])
            for item, ago, user, *consent in events
        ]
        assert store_events(events=rows, source="test").counts["ok"] == len(rows)

    return run


def read() -> Histories:
    return read_histories(timezone.now() - timedelta(days=1))


def items_of(histories: Histories, user: str) -> list[str | None]:
    person = histories.keys.index(subject_key("user_id", user).hex())
    rows = slice(histories.offsets[person], histories.offsets[person + 1])
    return [histories.items[code] if code >= 0 else None for code in histories.item[rows]]


def test_each_person_has_its_events_in_order_of_time(store: Callable[..., None]) -> None:
    store(("i2", 10, "ada"), ("i1", 20, "ada"), ("i9", 15, "bob"), (None, 5, "ada"))
    histories = read()
    assert (items_of(histories, "ada"), items_of(histories, "bob")) == (["i1", "i2", None], ["i9"])
    assert histories.without_consent == 0


def test_who_took_consent_back_is_left_out_and_events_without_it_are(store: Callable[..., None]) -> None:
    untrained = {"personalisation": True, "training": False}
    store(
        ("i1", 20, "ada"),
        ("i2", 10, "ada", untrained),
        ("i1", 20, "bob", untrained),
        ("i2", 10, "bob"),
        ("i3", 5, "eve"),
    )
    histories = read()
    assert len(histories.keys) == 2
    assert (items_of(histories, "bob"), items_of(histories, "eve")) == (["i2"], ["i3"])
    assert histories.without_consent == 1


def test_what_an_application_writes_takes_no_consent_back_and_gives_none(store: Callable[..., None]) -> None:
    untrained = {"personalisation": True, "training": False}
    store(("i1", 20, "ada"), ("i1", 20, "bob", untrained), ("i1", 20, "eve"), ("i1", 20, "lea", untrained))
    # An assessment counts as full consent unless its call says otherwise.
    for source, user, consent in (("ads", "ada", 1), ("service", "bob", 3), ("risk", "eve", 1), ("risk", "lea", 3)):
        written = JudgedEvent(
            event_id=uuid7(),
            message_id=user,
            type="ad_impression",
            subject={"user_id": user},
            occurred_at=to_micros(timezone.now()),
            consent=consent,
        )
        store_judged([written], source=source)
    histories = read()
    assert histories.keys == [subject_key("user_id", "ada").hex()]
    assert items_of(histories, "ada") == ["i1"]
    assert histories.without_consent == 3


def test_merged_users_are_one_and_are_found_by_either_name(store: Callable[..., None]) -> None:
    store(("i1", 20, "ada"), ("i2", 10, "lovelace"), ("i3", 5, "bob"))
    merge(from_user_id="ada", to_user_id="lovelace", actor="test")
    histories = read()
    assert len(histories.keys) == 2
    moment = np.full(3, to_micros(timezone.now()))
    keys = [subject_key("user_id", user).hex() for user in ("ada", "lovelace", "nobody")]
    first, second, unknown = histories.persons_of(keys, moment)
    assert first == second >= 0
    assert unknown == -1
    assert histories.offsets[first + 1] - histories.offsets[first] == 2


def test_a_tenant_without_events_has_no_histories(scope: Tenant) -> None:
    histories = read()
    assert (histories.keys, histories.offsets.tolist()) == ([], [0])
    assert histories.persons_of([], np.zeros(0, dtype=np.int64)).tolist() == []


def test_another_tenants_events_are_none_of_ones_own(
    tenant: Tenant, other_tenant: Tenant, view: Callable[..., dict[str, Any]]
) -> None:
    with tenant_scope(tenant.id):
        store_events(events=[view()], source="test")
        assert len(read().keys) == 1
    with tenant_scope(other_tenant.id):
        assert read().keys == []
