"""What the Frappe benchmark gives a row of what its user clicked elsewhere."""

import numpy as np

from tests.benchmarks.frappe import LONGEST_HISTORY, known_clicks


def test_a_row_never_sees_its_own_click_nor_those_of_the_test() -> None:
    user = np.array([1, 1, 1, 1, 2, 1, 2], dtype=np.int32)
    item = np.array([7, 7, 8, 9, 7, 8, 8], dtype=np.int32)
    clicked = np.array([1, 1, 1, 0, 0, 1, 1], dtype=np.int8)
    before, history = known_clicks(user, item, clicked, trained=5)

    # The first two clicks know of each other, the third of none but itself; the last two are test rows.
    assert before.tolist() == [1, 1, 0, 0, 0, 1, 0]
    assert history.shape == (7, LONGEST_HISTORY)
    assert [sorted(row[row > 0].tolist()) for row in history] == [[7, 8], [7, 8], [7], [7, 8], [], [7, 8], []]
