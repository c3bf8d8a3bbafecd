"""A snapshot holds what the log holds, cleaned, and is the same whether it was built at once or in steps."""

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from behavior.models import CleaningDrop, CleaningReport, Event, Snapshot
from behavior.services import store_events
from behavior.snapshots import KEPT_SNAPSHOTS, remove_old_snapshots, take_snapshot
from ml.data.columns import EventColumns, write_columns
from tenancy.scope import tenant_scope
from tests.conftest import make_tenant

ITEMS = ["i1", "i2", "größe", "a,b", 'quo"te', "line\nbreak", "\\N", "\\."]


def store(events: list[dict[str, Any]]) -> None:
    results = store_events(events=events, source="test", historical=True)
    assert results.counts["ok"] == len(events), results


def contents(snapshot: Snapshot) -> tuple:
    columns = EventColumns.open(Path(snapshot.path))
    arrays = (columns.offsets, columns.item, columns.type, columns.time, columns.value)
    return columns.items, columns.types, [np.asarray(array).tolist() for array in arrays[:4]], repr(arrays[4].tolist())


def test_events_come_out_by_subject_and_time(scope, view, tmp_path) -> None:
    store(
        [
            view(subject={"user_id": "b"}, item_id="i2", created_at=30, value=2.5),
            view(subject={"user_id": "a"}, item_id="i1", created_at=20),
            view(subject={"user_id": "b"}, item_id="i1", created_at=10, type="login"),
            view(subject={"user_id": "b"}, item_id=None, created_at=20.5, type="logout"),
        ]
    )
    snapshot = take_snapshot(write=write_columns, folder=tmp_path)
    columns = EventColumns.open(Path(snapshot.path))
    assert (snapshot.events, snapshot.subjects, snapshot.items) == (4, 2, 2)
    subjects = [
        list(zip(columns.time[a:b].tolist(), columns.item[a:b].tolist(), strict=True))
        for a, b in zip(columns.offsets, columns.offsets[1:], strict=False)
    ]
    assert sorted(subjects, key=len) == [[(20.0, 1)], [(10.0, 1), (20.5, 0), (30.0, 2)]]
    assert columns.items == ["i1", "i2"]
    assert [columns.types[code] for code in sorted(columns.type.tolist())] == ["login", "logout", "view", "view"]
    assert np.nansum(columns.value) == 2.5


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    batches=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from("abcde"),
                st.sampled_from([*ITEMS, None]),
                st.sampled_from(["view", "purchase", "login"]),
                st.integers(0, 50),
                st.none() | st.floats(0, 100),
            ),
            max_size=15,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_snapshot_in_steps_equals_one_at_once(tmp_path_factory, batches) -> None:
    tenant, folder = make_tenant(), tmp_path_factory.mktemp("snapshots")
    numbers = iter(range(1000))
    for batch in batches:
        with tenant_scope(tenant.id):
            store(
                [
                    {
                        "message_id": str(next(numbers)),
                        "type": kind,
                        "subject": {"user_id": subject},
                        "created_at": moment,
                    }
                    | ({"item_id": item} if item else {})
                    | ({"value": value} if value is not None else {})
                    for subject, item, kind, moment, value in batch
                ]
            )
        with tenant_scope(tenant.id):
            in_steps = take_snapshot(write=write_columns, folder=folder / "steps")
    with tenant_scope(tenant.id):
        at_once = take_snapshot(write=write_columns, folder=folder / "once")
        assert at_once.events_read == in_steps.events_read == Event.objects.count()
    assert contents(in_steps) == contents(at_once)


def test_events_without_consent_to_training_stay_out(scope, view, tmp_path) -> None:
    store([view(created_at=1), view(created_at=2, consent={"training": False})])
    snapshot = take_snapshot(write=write_columns, folder=tmp_path)
    assert (snapshot.events, snapshot.without_consent) == (1, 1)


def test_an_empty_log_gives_an_empty_snapshot(scope, tmp_path) -> None:
    snapshot = take_snapshot(write=write_columns, folder=tmp_path)
    assert (snapshot.events, snapshot.subjects) == (0, 0)


def test_other_tenants_stay_out(tenant, other_tenant, view, tmp_path) -> None:
    for owner in (tenant, other_tenant):
        with tenant_scope(owner.id):
            store([view(created_at=1)])
    with tenant_scope(tenant.id):
        assert take_snapshot(write=write_columns, folder=tmp_path).events_read == 1


def test_a_half_written_part_is_not_read(scope, view, tmp_path) -> None:
    store([view(created_at=1)])
    take_snapshot(write=write_columns, folder=tmp_path)
    part = next(tmp_path.glob("log-*/*.arrow"))
    (part.parent / "unfinished.tmp").write_bytes(b"half")
    (part.parent / "7-9.arrow").write_bytes(part.read_bytes())
    assert take_snapshot(write=write_columns, folder=tmp_path).events_read == 1


def test_what_cleaning_dropped_can_be_looked_at(scope, view, tmp_path) -> None:
    store(
        [
            view(message_id="kept", created_at=10),
            view(message_id="repeat", created_at=10.5),
            view(message_id="pointless", created_at=20, item_id=None),
            view(message_id="refund", created_at=30, type="purchase", value=-5),
            view(message_id="new", created_at=40, item_id="brand-new"),
        ]
    )
    snapshot = take_snapshot(write=write_columns, folder=tmp_path, known_items={"i1"})
    reports = CleaningReport.objects.filter(snapshot=snapshot)
    assert dict(reports.values_list("rule", "count")) == {
        "repeats": 1,
        "missing items": 1,
        "bots": 0,
        "impossible values": 1,
        "value outliers": 0,
        "unknown items": 1,
    }
    shown = CleaningDrop.objects.get(report=reports.get(rule="missing items"))
    assert Event.objects.get(event_id=shown.event_id).item_id is None
    assert snapshot.events == 3
    assert np.isnan(EventColumns.open(Path(snapshot.path)).value).all()


def test_only_the_newest_snapshots_keep_their_columns(scope, view, tmp_path) -> None:
    store([view(message_id="one", created_at=10)])
    taken = [take_snapshot(write=write_columns, folder=tmp_path) for _ in range(KEPT_SNAPSHOTS + 2)]
    remove_old_snapshots()
    assert [Path(snapshot.path).exists() for snapshot in taken] == [False] * 2 + [True] * KEPT_SNAPSHOTS
    assert Snapshot.objects.count() == KEPT_SNAPSHOTS + 2
