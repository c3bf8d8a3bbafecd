"""Reads of the log: the last events of a person and popular items without a scan."""

from datetime import UTC, datetime, timedelta

from behavior.popularity import refresh_item_popularity
from behavior.selectors import popular_items, recent_events
from behavior.services import store_events
from behavior.subjects import read_subject
from tenancy.scope import tenant_scope
from tests.queries import CapturedQueries


def at(hours_ago: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat()


def test_the_last_events_of_a_visitor_who_logged_in_come_oldest_first(scope, view) -> None:
    visitor, user = {"anonymous_id": "v"}, {"user_id": "u", "anonymous_id": "v"}
    store_events(
        events=[
            view(subject=user, item_id="i3", created_at=at(1), consent={"personalisation": False}),
            view(subject=visitor, item_id="i1", created_at=at(3), value=2),
            view(subject=visitor, item_id="i2", created_at=at(2)),
            view(subject={"user_id": "another"}, item_id="i9", created_at=at(2)),
        ],
        source="test",
    )
    keys = read_subject(user).keys
    with CapturedQueries() as queries:
        found = recent_events(keys)
    assert len(queries) == 1
    assert [(event.item_id, event.value, event.personalisation_consent) for event in found] == [
        ("i1", 2.0, True),
        ("i2", None, True),
        ("i3", None, False),
    ]
    assert [event.item_id for event in recent_events(keys, limit=2)] == ["i2", "i3"]
    assert recent_events([]) == []


def test_popularity_counts_each_event_once_however_often_it_is_refreshed(scope, view) -> None:
    store_events(events=[view(item_id=item, created_at=at(2)) for item in ("i1", "i1", "i2")], source="test")
    refresh_item_popularity()
    store_events(events=[view(item_id="i2", type="purchase", created_at=at(30))], source="test")
    for _ in range(3):
        refresh_item_popularity()
    assert popular_items(count=5) == [("i1", 2.0), ("i2", 2.0)]
    assert popular_items(count=5, weights={"purchase": 10, "view": 1}) == [("i2", 11.0), ("i1", 2.0)]
    assert popular_items(count=5, weights={}) == []
    assert popular_items(datetime.now(UTC) - timedelta(hours=5), 1) == [("i1", 2.0)]
    assert popular_items(until=datetime.now(UTC) - timedelta(hours=5)) == [("i2", 1.0)]


def test_reads_see_their_own_tenant_only(tenant, other_tenant, view) -> None:
    for owner in (tenant, other_tenant):
        with tenant_scope(owner.id):
            store_events(events=[view()], source="test")
            refresh_item_popularity()
    with tenant_scope(tenant.id):
        assert popular_items() == [("i1", 1.0)]
        assert len(recent_events(read_subject({"user_id": "ada"}).keys)) == 1
