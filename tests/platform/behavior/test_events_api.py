"""POST /api/v1/events: what is good is stored once; what is not is answered event by event, and nothing is lost."""

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from behavior.models import Event, EventReceipt, Quarantine, SubjectIdentity
from behavior.subjects import read_subject
from tenancy.scope import tenant_scope
from tenancy.secrets import decrypt


def only_event(tenant: Any) -> Event:
    with tenant_scope(tenant.id):
        return Event.objects.get()


def counts(answer: Any) -> dict[str, int]:
    assert answer.status_code == 200, answer.content
    return {name: count for name, count in answer.json()["counts"].items() if count}


def test_one_event_is_stored_with_all_its_fields(api, tenant, view) -> None:
    decision_id = "01a20b67-37fc-7000-8001-ac5acea9272e"
    created_at = datetime.now(UTC) - timedelta(hours=1)
    event = view(
        type="purchase",
        subject={"user_id": " ada ", "session_id": "s1"},
        value=19.9,
        quantity=2,
        currency="EUR",
        decision_id=decision_id,
        created_at=created_at.isoformat(),
        consent={"personalisation": True, "training": False},
        properties={"colour": "grün"},
    )
    answer = api.post("events", event).json()
    assert answer["results"] == {event["message_id"]: {"result": "ok"}}
    assert answer["request_id"]
    stored = only_event(tenant)
    assert (stored.type, stored.item_id, stored.value, stored.quantity, stored.currency) == (
        "purchase",
        "i1",
        19.9,
        2.0,
        "EUR",
    )
    assert str(stored.decision_id) == decision_id
    assert stored.occurred_at == created_at
    assert stored.properties == {"colour": "grün"}
    assert stored.consent == 1
    with tenant_scope(tenant.id):
        subject = read_subject({"user_id": "ada", "session_id": "s1"})
    assert (bytes(stored.subject_key), bytes(stored.session_key)) == (subject.key, subject.session_key)


def test_the_raw_id_lies_sealed_in_the_vault_and_nowhere_else(api, tenant, view) -> None:
    api.post("events", view(subject={"user_id": "olga@example.org"}))
    with tenant_scope(tenant.id), connection.cursor() as cursor:
        identity = SubjectIdentity.objects.get()
        assert decrypt(bytes(identity.sealed_id)) == b"olga@example.org"
        assert b"olga" not in bytes(identity.sealed_id)
        cursor.execute(
            "SELECT behavior_event::text, (SELECT behavior_eventreceipt::text FROM behavior_eventreceipt) "
            "FROM behavior_event"
        )
        assert "olga" not in str(cursor.fetchall())


def test_a_replayed_batch_stores_nothing_twice(api, tenant, view) -> None:
    batch = {"events": [view() for _ in range(20)]}
    assert counts(api.post("events", batch)) == {"ok": 20}
    assert counts(api.post("events", batch | {"sent_at": datetime.now(UTC).isoformat()})) == {"duplicate": 20}
    with tenant_scope(tenant.id):
        assert Event.objects.count() == EventReceipt.objects.count() == 20


def test_a_repeat_within_the_batch_is_answered_under_its_own_key(api, tenant, view) -> None:
    event = view(message_id="twice")
    results = api.post("events", {"events": [event, event, event | {"item_id": "other"}]}).json()["results"]
    assert {key: result["result"] for key, result in results.items()} == {
        "twice": "ok",
        "twice#1": "duplicate",
        "twice#2": "quarantined",
    }
    assert only_event(tenant).item_id == "i1"


def test_the_same_id_with_another_payload_is_kept_as_a_conflict(api, tenant, view) -> None:
    event = view(properties={"a": 1, "b": 2})
    api.post("events", event)
    assert counts(api.post("events", event | {"properties": {"b": 2, "a": 1}})) == {"duplicate": 1}
    answer = api.post("events", event | {"value": 5})
    assert answer.json()["results"][event["message_id"]]["errors"][0]["code"] == "conflict"
    with tenant_scope(tenant.id):
        assert json.loads(Quarantine.objects.get().raw)["value"] == 5
        assert Event.objects.get().value is None


def test_ten_thousand_events_in_one_call_are_refused_as_a_whole(api, tenant, view) -> None:
    answer = api.post("events", {"events": [view() for _ in range(10_000)]})
    assert answer.status_code == 413
    assert "1,000" in answer.json()["detail"]
    with tenant_scope(tenant.id):
        assert not Event.objects.exists()


def test_a_thousand_events_are_taken(api, view) -> None:
    assert counts(api.post("events", {"events": [view() for _ in range(1000)]})) == {"ok": 1000}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"type": "view",\n oops}', "line 2, column 2"),
        (b"", "line 1, column 1"),
        (b"\xff\xfe{}", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'"text"', "object"),
        (b'{"events": {}}', "must be a list"),
        (b'{"events": [], "evnts": 1}', "evnts"),
        (b'{"events": [], "sent_at": "noon"}', "ISO 8601"),
    ],
)
def test_a_malformed_body_is_refused_with_its_place(api, body: bytes, shown: str) -> None:
    answer = api.post("events", body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert shown in answer.json()["detail"]


def test_more_than_8_mb_are_refused(api) -> None:
    assert api.post("events", b" " * (9 * 1024 * 1024)).status_code == 413


def test_a_future_clock_is_corrected_by_sent_at_and_clamped_without_it(api, tenant, view) -> None:
    ahead = datetime.now(UTC) + timedelta(days=400)
    events = [view(created_at=(ahead - timedelta(minutes=5)).isoformat())]
    assert counts(api.post("events", {"sent_at": ahead.isoformat(), "events": events})) == {"ok": 1}
    stored = only_event(tenant)
    assert stored.time_quality == "corrected"
    assert stored.occurred_at == stored.received_at - timedelta(minutes=5)
    assert counts(api.post("events", view(created_at="2099-01-01T00:00:00Z"))) == {"ok": 1}
    with tenant_scope(tenant.id):
        clamped = Event.objects.get(time_quality="clamped")
        assert clamped.occurred_at == clamped.received_at


def test_an_ancient_clock_goes_to_quarantine_and_names_the_importer(api, tenant, view) -> None:
    event = view(created_at="2001-01-01")
    error = api.post("events", event).json()["results"][event["message_id"]]["errors"][0]
    assert error["code"] == "too_old"
    assert "import_events" in error["message"]
    with tenant_scope(tenant.id):
        assert not Event.objects.exists()
        assert Quarantine.objects.get().message_id == event["message_id"]


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"item_id": "a\0b"}, "item_id", "nul_byte"),
        ({"item_id": "\ud800"}, "item_id", "not_unicode"),
        ({"item_id": ""}, "item_id", "length"),
        ({"value": float("nan")}, "value", "not_finite"),
        ({"value": float("inf")}, "value", "not_finite"),
        ({"value": 1e13}, "value", "out_of_range"),
        ({"value": "lots"}, "value", "wrong_type"),
        ({"quantity": 0}, "quantity", "out_of_range"),
        ({"currency": "euro"}, "currency", "pattern"),
        ({"type": "View Item"}, "type", "pattern"),
        ({"type": None}, "type", "required"),
        ({"subject": None}, "subject", "required"),
        ({"subject": {}}, "subject", "required"),
        ({"subject": "ada"}, "subject", "wrong_type"),
        ({"subject": {"user_id": "undefined"}}, "subject.user_id", "illegal_id"),
        ({"subject": {"user_id": "a", "email": "b"}}, "subject.email", "unknown_field"),
        ({"decision_id": "17"}, "decision_id", "pattern"),
        ({"created_at": "noon"}, "created_at", "not_a_time"),
        ({"consent": {"training": "maybe"}}, "consent.training", "wrong_type"),
        ({"itemid": "i1"}, "itemid", "unknown_field"),
        ({"properties": [1]}, "properties", "wrong_type"),
        ({"properties": {"a": "b\0"}}, "properties", "nul_byte"),
    ],
)
def test_a_bad_field_is_named_and_the_event_kept_word_for_word(api, tenant, view, fields, field, code) -> None:
    bad, good = view(**fields), view()
    answer = api.post("events", {"events": [bad, good]}).json()
    assert answer["results"][good["message_id"]] == {"result": "ok"}
    result = answer["results"][bad["message_id"]]
    assert result["result"] == "quarantined"
    assert [(error["field"], error["code"]) for error in result["errors"]][:1] == [(field, code)]
    with tenant_scope(tenant.id):
        kept = Quarantine.objects.get()
        assert json.dumps(json.loads(kept.raw)) == json.dumps(bad)
        assert kept.reasons == result["errors"]


def test_of_many_unknown_fields_ten_are_named_and_the_rest_counted(api, view) -> None:
    event = view(**{f"field{number}": 1 for number in range(1_000)})
    (result,) = api.post("events", {"events": [event]}).json()["results"].values()
    assert [error["field"] for error in result["errors"]] == [f"field{number}" for number in range(10)]
    assert result["errors"][-1]["message"].endswith("(990 more are unknown)")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "view"},
        {"message_id": ""},
        {"message_id": "x" * 201},
        {"message_id": "a\0"},
        {"message_id": "\ud800"},
        7,
    ],
)
def test_an_event_without_a_usable_id_is_rejected_under_its_index(api, tenant, view, event) -> None:
    results = api.post("events", {"events": [view(message_id="fine"), event]}).json()["results"]
    assert results["fine"] == {"result": "ok"}
    assert results["#1"]["result"] == "rejected"
    with tenant_scope(tenant.id):
        assert not Quarantine.objects.exists()


def test_a_megabyte_of_properties_is_rejected(api, tenant, view) -> None:
    event = view(properties={"text": "x" * 1024 * 1024})
    result = api.post("events", event).json()["results"][event["message_id"]]
    assert result["result"] == "rejected"
    assert {error["code"] for error in result["errors"]} == {"too_large"}
    with tenant_scope(tenant.id):
        assert not Event.objects.exists()


def test_a_quarantined_event_sent_again_is_kept_once(api, tenant, view) -> None:
    event = view(value="lots")
    assert counts(api.post("events", event)) == counts(api.post("events", event)) == {"quarantined": 1}
    with tenant_scope(tenant.id):
        assert Quarantine.objects.count() == 1


def test_a_wrong_key_stores_nothing(api, tenant, view, client_with_scopes) -> None:
    raw_key = api.raw_key
    api.raw_key = raw_key[:-2] + ("AA" if not raw_key.endswith("AA") else "BB")
    assert api.post("events", view()).status_code == 401
    assert client_with_scopes("items:read").post("events", view()).status_code == 403
    with tenant_scope(tenant.id):
        assert not Event.objects.exists()


def test_tenants_have_message_ids_and_subjects_of_their_own(api, other_api, tenant, other_tenant, view) -> None:
    event = view()
    assert counts(api.post("events", event)) == counts(other_api.post("events", event)) == {"ok": 1}
    assert bytes(only_event(tenant).subject_key) != bytes(only_event(other_tenant).subject_key)


def test_clients_that_send_the_same_batch_at_once_store_each_event_once(api, tenant, view) -> None:
    events = [view() for _ in range(200)]
    found: list[dict[str, int]] = []

    def send(batch: list[dict[str, Any]]) -> None:
        try:
            found.append(counts(api.post("events", {"events": batch})))
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(batch,)) for batch in (events, events[::-1]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(count.get("ok", 0) for count in found) == 200
    assert sum(count.get("duplicate", 0) for count in found) == 600
    with tenant_scope(tenant.id):
        assert Event.objects.count() == 200
