"""The ledger of identities: what ties keys, whose an event is, and that all of it can be taken back."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from behavior import logins
from behavior.identity import (
    MOST_USERS,
    LinkRefused,
    UnknownSubject,
    find_identity,
    link,
    merge,
    merged_users,
    restore,
    undo,
)
from behavior.logins import record_login
from behavior.models import IdentityLink
from behavior.selectors import recent_events
from behavior.services import store_events
from behavior.subjects import read_subject
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tests.queries import CapturedQueries

LOGIN, MERGE = IdentityLink.Kind.LOGIN, IdentityLink.Kind.MERGE
Does = Callable[..., None]


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    logins._remembered.clear()


@pytest.fixture
def does(view: Callable[..., dict[str, Any]]) -> Does:
    """does("tent", anonymous_id="tablet", minute=3) stores a view of that minute of an hour ago."""

    def store(item: str, *, minute: int = 0, **subject: str) -> None:
        moment = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1) + timedelta(minutes=minute)
        event = view(item_id=item, subject=subject, created_at=moment.isoformat())
        assert store_events(events=[event], source="test").counts["ok"] == 1

    return store


def history(**subject: str) -> list[str | None]:
    return [event.item_id for event in recent_events(read_subject(subject).keys)]


# Logins --------------------------------------------------------------------------------------------------------------


def test_what_a_visitor_did_before_the_login_stays_with_the_user(scope: Tenant, does: Does) -> None:
    does("tent", anonymous_id="phone", minute=1)
    does("boot", user_id="ada", anonymous_id="phone", minute=2)

    assert history(user_id="ada") == ["tent", "boot"]
    assert history(anonymous_id="phone") == ["tent", "boot"]


def test_a_second_device_brings_its_history_too(scope: Tenant, does: Does) -> None:
    does("tent", anonymous_id="phone", minute=1)
    does("boot", user_id="ada", anonymous_id="phone", minute=2)
    does("lamp", anonymous_id="laptop", minute=3)
    does("rope", user_id="ada", anonymous_id="laptop", minute=4)

    assert history(user_id="ada") == ["tent", "boot", "lamp", "rope"]


def test_a_login_is_written_once_however_many_events_carry_both_ids(scope: Tenant, view: Any) -> None:
    both = {"user_id": "ada", "anonymous_id": "phone"}
    for _ in range(2):
        store_events(events=[view(subject=both) for _ in range(5)], source="test")

    row = IdentityLink.objects.get()
    assert (row.kind, row.source, row.undone_at) == ("login", "test", None)
    assert bytes(row.from_key) == subject_key("anonymous_id", "phone")
    assert bytes(row.to_key) == subject_key("user_id", "ada")


def test_logins_of_a_whole_batch_cost_three_queries_and_known_ones_a_single_one(scope: Tenant, view: Any) -> None:
    def ledger_queries(count: int) -> int:
        events = [view(subject={"user_id": f"u{n}", "anonymous_id": f"a{n}"}) for n in range(count)]
        with CapturedQueries() as queries:
            store_events(events=events, source="test")
        return sum(
            "identitylink" in query["sql"] or f"lock({logins.LINK_LOCK}," in query["sql"]
            for query in queries.captured_queries
        )

    assert ledger_queries(100) == 3
    assert ledger_queries(100) == 1
    assert IdentityLink.objects.count() == 100


def test_an_event_that_was_not_stored_ties_nothing(scope: Tenant, view: Any) -> None:
    store_events(events=[view(message_id="m", subject={"user_id": "ada"})], source="test")
    conflict = view(message_id="m", subject={"user_id": "eve", "anonymous_id": "phone"})
    store_events(events=[conflict], source="test")

    assert not IdentityLink.objects.exists()


def test_a_request_with_both_ids_is_a_login(scope: Tenant, does: Does) -> None:
    does("tent", anonymous_id="phone")
    subject = read_subject({"user_id": "ada", "anonymous_id": "phone"})
    record_login(subject)
    with CapturedQueries() as queries:
        record_login(subject)

    assert len(queries) == 0
    assert IdentityLink.objects.get().source == "request"
    assert history(user_id="ada") == ["tent"]


def test_racing_logins_make_one_link(tenant: Tenant, view: Any) -> None:
    start = threading.Barrier(4)

    def send(number: int) -> None:
        try:
            events = [view(message_id=f"r{number}", subject={"user_id": "ada", "anonymous_id": "phone"})]
            start.wait()
            with tenant_scope(tenant.id):
                store_events(events=events, source="test")
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with tenant_scope(tenant.id):
        assert IdentityLink.objects.count() == 1


# A device that several people share -----------------------------------------------------------------------------------


@pytest.fixture
def tablet(scope: Tenant, does: Does) -> None:
    """Ada logs in at minute 2, Bob at 4, Ada again at 6; something is looked at before and after each."""
    does("for-ada", anonymous_id="tablet", minute=1)
    does("ada-1", user_id="ada", anonymous_id="tablet", minute=2)
    does("for-bob", anonymous_id="tablet", minute=3)
    does("bob-1", user_id="bob", anonymous_id="tablet", minute=4)
    does("for-ada-again", anonymous_id="tablet", minute=5)
    does("ada-2", user_id="ada", anonymous_id="tablet", minute=6)
    does("afterwards", anonymous_id="tablet", minute=7)


def test_on_a_shared_device_events_belong_to_who_logs_in_next(tablet: None) -> None:
    assert history(user_id="ada") == ["for-ada", "ada-1", "for-ada-again", "ada-2", "afterwards"]
    assert history(user_id="bob") == ["for-bob", "bob-1"]


def test_a_shared_device_alone_shows_nothing_of_its_users(tablet: None) -> None:
    assert history(anonymous_id="tablet") == ["afterwards"]


def test_a_login_that_is_under_way_takes_what_came_since_the_last_one(tablet: None) -> None:
    assert history(user_id="cleo", anonymous_id="tablet") == ["afterwards"]
    assert history(user_id="bob", anonymous_id="tablet") == ["for-bob", "bob-1", "afterwards"]


def test_a_shared_device_never_melts_users_together(tablet: None) -> None:
    assert merged_users(subject_key("user_id", "ada")) == {subject_key("user_id", "ada")}
    keys = {key.key for key in find_identity(kind="user_id", raw_id="bob").keys}
    assert keys == {subject_key("user_id", "bob"), subject_key("anonymous_id", "tablet")}


def test_users_of_a_device_who_are_merged_do_not_share_it(tablet: None) -> None:
    merge(from_user_id="bob", to_user_id="ada", actor="test")
    everything = ["for-ada", "ada-1", "for-bob", "bob-1", "for-ada-again", "ada-2", "afterwards"]
    assert history(user_id="bob") == history(user_id="ada") == history(anonymous_id="tablet") == everything


def test_logins_at_the_same_moment_do_not_share_what_follows(scope: Tenant, does: Does, view: Any) -> None:
    events = [view(subject={"user_id": user, "anonymous_id": "kiosk"}, created_at=0) for user in ("ada", "bob")]
    store_events(events=events, source="test", historical=True)
    does("later", anonymous_id="kiosk")
    assert sorted([history(user_id="ada"), history(user_id="bob")], key=len) == [["i1"], ["i1", "later"]]


# Taken apart, and back ------------------------------------------------------------------------------------------------


def test_undoing_a_login_takes_both_apart_and_later_logins_do_not_tie_them_again(scope: Tenant, does: Does) -> None:
    does("tent", anonymous_id="phone", minute=1)
    does("boot", user_id="ada", anonymous_id="phone", minute=2)
    undone = undo(link_id=IdentityLink.objects.get().id, kind=LOGIN, actor="ops")
    does("rope", user_id="ada", anonymous_id="phone", minute=3)
    record_login(read_subject({"user_id": "ada", "anonymous_id": "phone"}))

    assert undone.undone_at is not None
    assert undone.undone_by == "ops"
    assert history(anonymous_id="phone") == ["tent"]
    assert history(user_id="ada") == ["boot", "rope"]
    assert history(user_id="ada", anonymous_id="phone") == ["boot", "rope"]


def test_undoing_is_undone_to_the_very_same_lists(tablet: None) -> None:
    people: list[dict[str, str]] = [{"user_id": "ada"}, {"user_id": "bob"}, {"anonymous_id": "tablet"}]
    before = [history(**person) for person in people]
    row = IdentityLink.objects.filter(to_key=subject_key("user_id", "ada"))[0]

    undo(link_id=row.id, kind=LOGIN, actor="ops")
    assert history(user_id="ada") == ["ada-1", "ada-2"]
    restored, is_new = restore(link_id=row.id, actor="ops")

    assert is_new
    assert restored.source == "ops"
    assert [history(**person) for person in people] == before
    assert IdentityLink.objects.exclude(undone_at=None).count() == 2  # history stays


def test_a_merge_and_its_undoing_restore_both_lists_exactly(scope: Tenant, does: Does) -> None:
    does("tent", anonymous_id="phone", minute=1)
    does("boot", user_id="ada", anonymous_id="phone", minute=2)
    does("rope", user_id="ada.old", minute=3)
    before = history(user_id="ada"), history(user_id="ada.old")

    row, is_new = merge(from_user_id="ada.old", to_user_id="ada", actor="shop")
    assert is_new
    assert history(user_id="ada") == history(user_id="ada.old") == ["tent", "boot", "rope"]
    undo(link_id=row.id, kind=MERGE, actor="shop")
    assert (history(user_id="ada"), history(user_id="ada.old")) == before == (["tent", "boot"], ["rope"])


def test_a_merge_that_exists_is_given_back_and_a_circle_is_refused(scope: Tenant, does: Does) -> None:
    for user in "abc":
        does("tent", user_id=user)
    first, _ = merge(from_user_id="a", to_user_id="b", actor="shop")
    merge(from_user_id="b", to_user_id="c", actor="shop")

    assert merge(from_user_id="a", to_user_id="b", actor="shop") == (first, False)
    for pair in ("ca", "ba", "ac"):
        with pytest.raises(LinkRefused, match="one person already"):
            merge(from_user_id=pair[0], to_user_id=pair[1], actor="shop")
    with pytest.raises(LinkRefused, match="same user"):
        merge(from_user_id="a", to_user_id="a", actor="shop")
    assert IdentityLink.objects.count() == 2


def test_ids_that_nothing_was_received_of_are_refused(scope: Tenant, does: Does) -> None:
    does("tent", user_id="ada")
    with pytest.raises(UnknownSubject, match="'typo' is not known"):
        merge(from_user_id="ada", to_user_id="typo", actor="shop")
    with pytest.raises(UnknownSubject):
        link(user_id="ada", anonymous_id="typo", actor="shop")
    assert not IdentityLink.objects.exists()


def test_a_person_is_bounded(scope: Tenant, does: Does) -> None:
    for number in range(MOST_USERS + 1):
        does("tent", user_id=f"u{number}")
    for number in range(1, MOST_USERS):
        merge(from_user_id=f"u{number}", to_user_id="u0", actor="shop")
    with pytest.raises(LinkRefused, match="at most 20"):
        merge(from_user_id=f"u{MOST_USERS}", to_user_id="u0", actor="shop")


def test_of_very_many_devices_the_newest_count_and_the_one_in_use(scope: Tenant, view: Any) -> None:
    events = []
    for number in range(60):
        visitor, moment = f"device-{number:02d}", 1_700_000_000 + number
        events.append(view(subject={"anonymous_id": visitor}, item_id=visitor, created_at=moment))
        events.append(view(subject={"user_id": "ada", "anonymous_id": visitor}, item_id=None, created_at=moment))
    store_events(events=events, source="test", historical=True)
    newest = {f"device-{number:02d}" for number in range(10, 60)}

    def seen(**subject: str) -> set[str | None]:
        return {event.item_id for event in recent_events(read_subject(subject).keys, 500)} - {None}

    assert seen(user_id="ada") == newest
    assert seen(user_id="ada", anonymous_id="device-03") == newest | {"device-03"}


# The whole ------------------------------------------------------------------------------------------------------------


class UnionFind:
    def __init__(self) -> None:
        self.parents: dict[str, str] = {}

    def root(self, name: str) -> str:
        while (parent := self.parents.get(name, name)) != name:
            name = parent
        return name

    def join(self, one: str, other: str) -> None:
        self.parents[self.root(one)] = self.root(other)


USERS, VISITORS = "abcde", "vwx"
steps = st.lists(
    st.one_of(
        st.tuples(st.just("merge"), st.sampled_from(USERS), st.sampled_from(USERS)),
        st.tuples(st.just("link"), st.sampled_from(VISITORS), st.sampled_from(USERS)),
        st.tuples(st.sampled_from(["undo", "restore"]), st.integers(0, 30), st.none()),
    ),
    max_size=15,
)


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(steps=steps)
def test_persons_are_the_components_of_the_links_that_are_not_undone(
    steps: list[tuple], tenant: Tenant, view: Any
) -> None:
    prefix = uuid7().hex  # each example has people of its own
    with tenant_scope(tenant.id):
        names = {subject_key("user_id", prefix + user): user for user in USERS}
        names |= {subject_key("anonymous_id", prefix + visitor): visitor for visitor in VISITORS}
        subjects = [{"user_id": prefix + user} for user in USERS]
        subjects += [{"anonymous_id": prefix + visitor} for visitor in VISITORS]
        store_events(events=[view(subject=subject) for subject in subjects], source="test")
        made: list[IdentityLink] = []
        for step, first, second in steps:
            try:
                if step == "merge":
                    made.append(merge(from_user_id=prefix + first, to_user_id=prefix + second, actor="test")[0])
                elif step == "link":
                    made.append(link(user_id=prefix + second, anonymous_id=prefix + first, actor="test")[0])
                elif made and step == "undo":
                    row = made[first % len(made)]
                    undo(link_id=row.id, kind=IdentityLink.Kind(row.kind), actor="test")
                elif made:
                    made.append(restore(link_id=made[first % len(made)].id, actor="test")[0])
            except LinkRefused:
                pass

        active = IdentityLink.objects.filter(undone_at=None, from_key__in=list(names))
        pairs = [(row.kind, names[bytes(row.from_key)], names[bytes(row.to_key)]) for row in active]
        joined = UnionFind()
        for kind, one, other in pairs:
            if kind == MERGE:
                joined.join(one, other)
        for user in USERS:
            person = {other for other in USERS if joined.root(other) == joined.root(user)}
            devices = {visitor for kind, visitor, owner in pairs if kind == LOGIN and owner in person}
            found = {names[key.key] for key in find_identity(kind="user_id", raw_id=prefix + user).keys}
            assert found == person | devices


def test_tenants_do_not_see_each_others_links(tenant: Tenant, other_tenant: Tenant, view: Any) -> None:
    visitor, both = {"anonymous_id": "phone"}, {"user_id": "ada", "anonymous_id": "phone"}
    with tenant_scope(tenant.id):
        store_events(events=[view(subject=visitor, item_id="tent"), view(subject=both, item_id="boot")], source="test")
    with tenant_scope(other_tenant.id):
        store_events(events=[view(subject=visitor, item_id="rope")], source="test")
        assert history(user_id="ada") == []
        assert history(anonymous_id="phone") == ["rope"]
        assert not IdentityLink.objects.exists()
        with connection.cursor() as cursor:  # whatever tenant the function is asked for
            cursor.execute("SELECT key FROM behavior_person(%s, %s)", [tenant.id, [subject_key("user_id", "ada")]])
            assert len(cursor.fetchall()) == 1


@pytest.mark.parametrize(
    "statement", ["UPDATE behavior_identitylink SET to_key = ''", "DELETE FROM behavior_identitylink"]
)
def test_a_row_can_only_be_marked_as_undone(scope: Tenant, statement: str) -> None:
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
