"""What was quarantined can be repaired and sent through the same door, once."""

from datetime import UTC, datetime, timedelta

from django.db.migrations.recorder import MigrationRecorder

from behavior.models import Event, Quarantine, SubjectIdentity
from behavior.services import EXPIRES_SINCE, discard, expire_quarantine, replay, store_events
from tenancy.models import Role
from tenancy.scope import set_local, tenant_scope
from tenancy.services import add_member
from tests.database import connected_as


def open_ids() -> list:
    return list(Quarantine.objects.filter(status="open").order_by("message_id").values_list("id", flat=True))


def test_a_repaired_event_is_stored_with_its_own_time(scope, view) -> None:
    sent_at = datetime.now(UTC)
    created_at = sent_at - timedelta(hours=2)
    event = view(type="View", created_at=created_at.isoformat())
    first = store_events(events=[event], source="test", sent_at=sent_at)
    assert replay(quarantine_ids=open_ids(), fixes={"type": "view"}, actor="olga") == {"replayed": 1, "open": 0}
    stored = Event.objects.get()
    assert stored.occurred_at == first.received_at - timedelta(hours=2)
    kept = Quarantine.objects.get()
    assert (kept.status, kept.resolved_by) == ("replayed", "olga")


def test_a_replay_can_be_repeated(scope, view) -> None:
    store_events(events=[view(value="lots")], source="test")
    ids = open_ids()
    assert replay(quarantine_ids=ids, fixes={"value": None}) == {"replayed": 1, "open": 0}
    assert replay(quarantine_ids=ids, fixes={"value": None}) == {"replayed": 0, "open": 0}
    assert Event.objects.count() == 1


def test_what_was_stored_meanwhile_counts_as_replayed(scope, view) -> None:
    event = view(value="lots")
    store_events(events=[event], source="test")
    store_events(events=[event | {"value": 3}], source="test")
    assert replay(quarantine_ids=open_ids(), fixes={"value": 3}) == {"replayed": 1, "open": 0}
    assert Event.objects.count() == 1


def test_a_fix_that_is_not_enough_leaves_the_new_reasons(scope, view) -> None:
    store_events(events=[view(value="lots", subject={"user_id": "null"})], source="test")
    assert replay(quarantine_ids=open_ids(), fixes={"value": 1}) == {"replayed": 0, "open": 1}
    assert [reason["field"] for reason in Quarantine.objects.get().reasons] == ["subject.user_id"]
    assert replay(quarantine_ids=open_ids(), fixes={"value": 1, "subject.user_id": "ada"})["replayed"] == 1


def test_a_conflict_is_solved_by_a_new_message_id(scope, view) -> None:
    event = view()
    store_events(events=[event, event | {"item_id": "i2"}], source="test")
    assert replay(quarantine_ids=open_ids(), fixes={}) == {"replayed": 0, "open": 1}
    assert replay(quarantine_ids=open_ids(), fixes={"message_id": "another"}) == {"replayed": 1, "open": 0}
    assert set(Event.objects.values_list("item_id", flat=True)) == {"i1", "i2"}


def test_an_operator_may_let_an_old_event_in(scope, view) -> None:
    store_events(events=[view(created_at="2020-02-02T00:00:00Z")], source="test")
    assert replay(quarantine_ids=open_ids(), fixes={}) == {"replayed": 1, "open": 0}
    assert Event.objects.get().occurred_at.year == 2020


def test_a_discarded_event_stays_readable_and_is_not_replayed(scope, view) -> None:
    store_events(events=[view(value="lots")], source="test")
    ids = open_ids()
    assert discard(quarantine_ids=ids, actor="olga") == 1
    assert replay(quarantine_ids=ids, fixes={"value": 1}) == {"replayed": 0, "open": 0}
    assert "lots" in Quarantine.objects.get().raw


def test_an_operator_replays_from_the_console_process(tenant, view) -> None:
    with tenant_scope(tenant.id):
        store_events(events=[view(value="lots", subject={"user_id": "someone new"})], source="test")
    with connected_as("owner"), tenant_scope(tenant.id):
        operator = add_member(email=f"{tenant.slug}@example.org", role=Role.OPERATOR)
    with connected_as("console"), tenant_scope(tenant.id):
        set_local("app.operator", str(operator.user_id))
        assert replay(quarantine_ids=open_ids(), fixes={"value": 1}, actor="olga") == {"replayed": 1, "open": 0}
    with tenant_scope(tenant.id):
        assert Event.objects.get().value == 1
        assert SubjectIdentity.objects.count() == 1


def expires_since(since: datetime) -> None:
    """As on an installation that was upgraded then to a suite that deletes what lies in quarantine."""
    with connected_as("owner"):
        MigrationRecorder.Migration.objects.filter(**EXPIRES_SINCE).update(applied=since)


def test_quarantine_holds_raw_ids_for_a_while_only(scope, view, settings) -> None:
    settings.QUARANTINE_RESOLVED_DAYS, settings.QUARANTINE_OPEN_DAYS = 10, 20
    store_events(
        events=[view(message_id=each, value="lots") for each in ("discarded", "mended", "open")], source="test"
    )
    ids = dict(Quarantine.objects.values_list("message_id", "id"))
    discard(quarantine_ids=[ids["discarded"]])
    replay(quarantine_ids=[ids["mended"]], fixes={"value": 1})
    now = datetime.now(UTC)
    expires_since(now - timedelta(days=365))

    def left(*, received: timedelta, resolved: timedelta) -> list[str]:
        Quarantine.objects.update(received_at=now - received)
        Quarantine.objects.exclude(status="open").update(resolved_at=now - resolved)
        expire_quarantine()
        return sorted(Quarantine.objects.values_list("message_id", flat=True))

    assert left(received=timedelta(days=19), resolved=timedelta(days=9)) == ["discarded", "mended", "open"]
    assert left(received=timedelta(days=19), resolved=timedelta(days=11)) == ["open"]
    assert left(received=timedelta(days=21), resolved=timedelta(days=1)) == []


def test_what_was_open_before_quarantine_expired_stays_as_long_after_the_upgrade_as_if_it_had_come_then(
    scope, view
) -> None:
    store_events(events=[view(value="lots")], source="test")
    now = datetime.now(UTC)
    Quarantine.objects.update(received_at=now - timedelta(days=700))
    expires_since(now - timedelta(days=89))
    assert expire_quarantine() == 0
    assert len(open_ids()) == 1
    expires_since(now - timedelta(days=91))
    assert expire_quarantine() == 1
    assert open_ids() == []
