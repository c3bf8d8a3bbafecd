"""Shown lists as columns: what is written comes back, in the order of time and rank."""

from pathlib import Path

import numpy as np
import pytest

from ml.data.ranked_lists import RankedLists, write_ranked_lists


def two_lists(path: Path) -> RankedLists:
    """A newer list of three items and an older one of two, written in disorder."""
    return write_ranked_lists(
        path,
        list_of_row=[0, 1, 0, 1, 0],
        time=[20.0, 10.0],
        rank=[3, 1, 1, 2, 2],
        grade=[0, 1, 5, 0, 0],
        features=[[0.3, np.nan], [1.1, 1.0], [0.1, 2.0], [1.2, 3.0], [0.2, 4.0]],
        names=["score", "price"],
    )


def test_lists_come_in_the_order_of_time_and_their_items_in_that_of_rank(tmp_path: Path) -> None:
    two_lists(tmp_path / "lists")
    lists = RankedLists.open(tmp_path / "lists")

    assert (len(lists), lists.time.tolist(), lists.offsets.tolist()) == (2, [10.0, 20.0], [0, 2, 5])
    assert lists.rank.tolist() == [1, 2, 1, 2, 3]
    assert lists.grade.tolist() == [1, 0, 5, 0, 0]
    assert lists.features[:, 0].tolist() == pytest.approx([1.1, 1.2, 0.1, 0.2, 0.3])


def test_rows_are_padded_to_the_longest_list(tmp_path: Path) -> None:
    rows, real = two_lists(tmp_path / "lists").padded_rows(np.array([1, 0]))
    assert real.tolist() == [[True, True, True], [True, True, False]]
    assert rows.tolist() == [[2, 3, 4], [0, 1, 0]]


def test_a_missing_feature_reads_as_0_in_its_column(tmp_path: Path) -> None:
    lists = two_lists(tmp_path / "lists")
    assert lists.column("price").tolist() == [1.0, 3.0, 2.0, 4.0, 0.0]
    with pytest.raises(ValueError, match="no feature 'brand'; they have score, price"):
        lists.column("brand")


def test_columns_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"list_of_row must lie in 0\.\.0"):
        write_ranked_lists(
            tmp_path / "lists", list_of_row=[1], time=[1.0], rank=[1], grade=[0], features=[[1.0]], names=["score"]
        )
    with pytest.raises(ValueError, match="one entry per row"):
        write_ranked_lists(
            tmp_path / "lists", list_of_row=[0], time=[1.0], rank=[1, 2], grade=[0], features=[[1.0]], names=["score"]
        )
    assert not (tmp_path / "lists").exists()
