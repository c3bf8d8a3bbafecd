from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.data.columns import EventColumns, write_columns

EVENT = st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 1), st.integers(0, 9))


def write(path: Path, events: list[tuple[int, int, int, float]]) -> EventColumns:
    subject, item, event_type, time = (list(column) for column in zip(*events, strict=True))
    return write_columns(
        path,
        subject=subject,
        item=item,
        type=event_type,
        time=time,
        value=np.arange(len(events)),
        items=["a", "b", "c"],
        types=["view", "purchase"],
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(events=st.lists(EVENT, min_size=1, max_size=30))
def test_events_come_back_sorted_by_subject_then_time_and_ties_keep_their_order(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, int, int, float]]
) -> None:
    columns = write(tmp_path_factory.mktemp("columns") / "log", events)
    expected = sorted(range(len(events)), key=lambda row: (events[row][0], events[row][3]))
    assert columns.value.tolist() == expected
    assert columns.subject_of_events().tolist() == [events[row][0] for row in expected]
    assert columns.item.tolist() == [events[row][1] for row in expected]


def test_columns_are_memory_mapped_and_open_again(tmp_path: Path) -> None:
    write(tmp_path / "log", [(1, 2, 0, 5.0), (0, 1, 1, 3.0)])
    columns = EventColumns.open(tmp_path / "log")
    assert isinstance(columns.item, np.memmap)
    assert columns.offsets.tolist() == [0, 1, 2]
    assert (columns.subjects, columns.events) == (2, 2)
    assert (columns.items, columns.types) == (["a", "b", "c"], ["view", "purchase"])


@pytest.mark.parametrize(
    ("event", "field"),
    [((-1, 1, 0, 1.0), "subject"), ((0, 4, 0, 1.0), "item"), ((0, 1, 2, 1.0), "type"), ((0, 1, 0, np.inf), "time")],
)
def test_an_unusable_column_is_refused_by_name_and_leaves_nothing(
    tmp_path: Path, event: tuple[int, int, int, float], field: str
) -> None:
    with pytest.raises(ValueError, match=field):
        write(tmp_path / "log", [event])
    assert not (tmp_path / "log").exists()


def test_columns_are_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "log", [(0, 1, 0, 1.0)])
    with pytest.raises(FileExistsError, match="new folder"):
        write(tmp_path / "log", [(0, 2, 0, 1.0)])


def test_an_empty_log_is_a_log(tmp_path: Path) -> None:
    columns = write_columns(tmp_path / "log", subject=[], item=[], type=[], time=[], value=[], items=[], types=["view"])
    assert (columns.subjects, columns.events) == (0, 0)
