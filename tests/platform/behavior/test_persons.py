"""Snapshots have one subject for each person, as the ledger stands when they are taken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behavior.identity import merge, restore, undo
from behavior.models import IdentityLink, Snapshot
from behavior.persons import Links, join_persons
from behavior.selectors import recent_events
from behavior.services import store_events
from behavior.snapshots import take_snapshot
from behavior.subjects import read_subject
from ml.data.columns import EventColumns, write_columns
from tenancy.models import Tenant

Take = Callable[[], list[list[str]]]


def sequences(snapshot: Snapshot) -> list[list[str]]:
    """The items of each subject in order of time, subjects in the order of their items."""
    columns = EventColumns.open(Path(snapshot.path))
    rows = [columns.item[a:b].tolist() for a, b in zip(columns.offsets, columns.offsets[1:], strict=False)]
    return sorted([columns.items[code - 1] for code in row] for row in rows)


@pytest.fixture
def take(scope: Tenant, tmp_path: Path) -> Take:
    return lambda: sequences(take_snapshot(write=write_columns, folder=tmp_path))


@pytest.fixture
def store(scope: Tenant, view: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """store(("i1", 10, {"user_id": "ada"}), ...): item, second, subject."""

    def events(*rows: tuple[str, int, dict[str, str]]) -> None:
        sent = [
            view(item_id=item, created_at=1_700_000_000 + moment, subject=subject) for item, moment, subject in rows
        ]
        assert store_events(events=sent, source="test", historical=True).counts["ok"] == len(rows)

    return events


PHONE = {"anonymous_id": "phone"}
ADA, BOB = {"user_id": "ada"}, {"user_id": "bob"}


def test_a_visitor_and_the_user_are_one_subject_until_they_are_taken_apart(store: Any, take: Take) -> None:
    store(("i1", 10, PHONE), ("i2", 20, ADA | PHONE), ("i3", 30, PHONE))
    assert take() == [["i1", "i2", "i3"]]
    row = IdentityLink.objects.get()

    undo(link_id=row.id, kind=IdentityLink.Kind.LOGIN, actor="test")
    assert take() == [["i1", "i3"], ["i2"]]
    restore(link_id=row.id, actor="test")
    assert take() == [["i1", "i2", "i3"]]


def test_a_login_that_comes_later_joins_what_an_earlier_snapshot_had_apart(store: Any, take: Take) -> None:
    store(("i1", 10, PHONE), ("i2", 20, ADA))
    assert take() == [["i1"], ["i2"]]
    store(("i3", 30, ADA | PHONE))
    assert take() == [["i1", "i2", "i3"]]


def test_a_shared_device_gives_each_user_what_came_before_the_login(store: Any, take: Take) -> None:
    store(("i1", 10, PHONE), ("i2", 20, ADA | PHONE), ("i3", 30, PHONE), ("i4", 40, BOB | PHONE), ("i5", 50, PHONE))
    assert take() == [["i1", "i2"], ["i3", "i4", "i5"]]


def test_merged_users_are_one_subject(store: Any, take: Take) -> None:
    store(("i1", 10, ADA), ("i2", 20, BOB), ("i3", 30, {"user_id": "cleo"}), ("i4", 40, PHONE), ("i5", 50, BOB | PHONE))
    merge(from_user_id="bob", to_user_id="ada", actor="test")
    row, _ = merge(from_user_id="ada", to_user_id="cleo", actor="test")
    assert take() == [["i1", "i2", "i3", "i4", "i5"]]
    undo(link_id=row.id, kind=IdentityLink.Kind.MERGE, actor="test")
    assert take() == [["i1", "i2", "i4", "i5"], ["i3"]]


def test_snapshots_and_answers_agree_on_whose_an_event_is(scope: Tenant, store: Any, take: Take) -> None:
    generator = np.random.default_rng(7)
    rows = []
    for number, (user, device, which) in enumerate(zip(*generator.integers(0, [[6], [4], [3]], (3, 150)), strict=True)):
        ids = {"user_id": f"u{user}"}, {"anonymous_id": f"d{device}"}
        rows.append((f"i{number:03d}", number, (ids[0], ids[1], ids[0] | ids[1])[which]))
    store(*rows)
    merge(from_user_id="u0", to_user_id="u1", actor="test")
    merge(from_user_id="u2", to_user_id="u1", actor="test")

    answers = {
        tuple(event.item_id for event in recent_events(read_subject({"user_id": f"u{number}"}).keys, 500))
        for number in range(6)
    }

    assert len(answers) == 4
    assert sorted(answers) == [tuple(row) for row in take()]


events = st.lists(st.tuples(st.sampled_from(["d", "e", "u", "v", "w"]), st.integers(0, 8)), max_size=30)
logins = st.lists(st.tuples(st.sampled_from("de"), st.sampled_from("uvw"), st.integers(0, 8)), max_size=8)
merges = st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("uvw")), max_size=2)


@given(events=events, logins=logins, merges=merges)
def test_columns_are_joined_as_the_rules_say_event_by_event(
    events: list[tuple[str, int]], logins: list[tuple[str, str, int]], merges: list[tuple[str, str]]
) -> None:
    names = sorted({subject for subject, _ in events})
    rows = sorted([(moment, False, device, user) for device, user, moment in logins], key=lambda row: row[0])
    rows += [(9, True, one, other) for one, other in merges]
    links = Links(
        is_merge=np.array([row[1] for row in rows], dtype=bool),
        from_keys=pa.array([row[2] for row in rows], pa.string()),
        to_keys=pa.array([row[3] for row in rows], pa.string()),
        since=np.array([row[0] for row in rows], dtype=np.int64),
    )
    subject = np.array([names.index(name) for name, _ in events], dtype=np.int64)
    time = np.array([moment for _, moment in events], dtype=np.int64)

    codes, joined = join_persons(subject, pa.array(names, pa.string()), time, links)

    def person(name: str) -> str:
        """The least of all that are reached by merges."""
        reached = {name}
        for _ in merges:
            reached |= {user for pair in merges for user in pair if set(pair) & reached}
        return min(reached)

    def owner(name: str, moment: int) -> str:
        of_device = [row for row in rows if not row[1] and row[2] == name]
        if not of_device:
            return name
        following = [row for row in of_device if row[0] >= moment]
        return (following[0] if following else of_device[-1])[3]

    assert [joined[code].as_py() for code in codes] == [person(owner(*event)) for event in events]
