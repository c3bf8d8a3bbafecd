"""Each rule finds what it is for, and leaves what people really do alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from behavior.cleaning import BOT_EVENTS, Events, Names, clean

NAMES = Names(items=["i1", "i2"], types=["view", "purchase", "login"], known_items=None)
VIEW, PURCHASE, LOGIN = range(3)


def events(rows: list[tuple[int, int, int, float, float]]) -> Events:
    """Rows of (subject, item, type, time, value)."""
    subject, item, kind, time, value = zip(*rows, strict=True) if rows else ((),) * 5
    ids = np.zeros((len(rows), 16), dtype=np.uint8)
    ids[:, 8:] = np.arange(len(rows), dtype=">u8").view(np.uint8).reshape(-1, 8)
    return Events(
        np.array(subject, np.int64),
        np.array(item, np.int64),
        np.array(kind, np.int64),
        np.array(time, np.float64),
        np.array(value, np.float32),
        ids,
    )


def touched(rows: list[tuple[int, int, int, float, float]], rule: str) -> list[int]:
    _, findings = clean(events(rows), NAMES)
    ids = next(finding.event_ids for finding in findings if finding.rule == rule)
    return ids[:, 8:].copy().view(">u8").ravel().tolist()


NONE = float("nan")


def test_a_repeat_within_a_second_goes_and_a_later_one_stays() -> None:
    rows = [(1, 0, VIEW, 10.0, NONE), (1, 0, VIEW, 11.0, NONE), (1, 0, VIEW, 20.0, NONE), (2, 0, VIEW, 10.0, NONE)]
    assert touched(rows, "repeats") == [1]


def test_another_item_type_or_value_is_no_repeat() -> None:
    rows = [(1, 0, VIEW, 1.0, NONE), (1, 1, VIEW, 1.0, NONE), (1, 0, PURCHASE, 1.0, NONE), (1, 0, VIEW, 1.0, 2.0)]
    assert touched(rows, "repeats") == []


def test_logins_need_no_item_and_views_do() -> None:
    rows = [(1, -1, LOGIN, 1.0, NONE), (1, -1, LOGIN, 1.5, NONE), (1, -1, VIEW, 2.0, NONE)]
    assert touched(rows, "missing items") == [2]
    assert touched(rows, "repeats") == []


def test_ten_events_a_second_for_a_minute_are_a_bot() -> None:
    human = [(1, row % 2, VIEW, row * 2.0, row) for row in range(BOT_EVENTS)]
    robot = [(2, row % 2, VIEW, row * 0.05, row) for row in range(BOT_EVENTS)]
    assert touched(human + robot, "bots") == list(range(BOT_EVENTS, 2 * BOT_EVENTS))


def test_a_log_that_knows_only_dates_has_no_bots() -> None:
    assert touched([(1, row % 2, VIEW, 86_400.0 * (row // 500), row) for row in range(2000)], "bots") == []


def test_a_price_a_million_times_the_usual_is_dropped_and_its_event_kept() -> None:
    generator = np.random.default_rng(5)
    rows = [(row, 0, PURCHASE, float(row), float(value)) for row, value in enumerate(generator.lognormal(3, 1, 500))]
    assert touched(rows, "value outliers") == []
    cleaned, _ = clean(events([*rows, (500, 0, PURCHASE, 500.0, 1e9)]), NAMES)
    assert len(cleaned) == 501
    assert np.isnan(cleaned.value[-1])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(-1, 1),
            st.integers(0, 2),
            st.floats(0, 100),
            st.just(NONE) | st.floats(-10, 1e6, width=32),
        ),
        max_size=60,
    )
)
def test_every_event_is_either_kept_or_counted_as_dropped(rows: list[tuple[int, int, int, float, float]]) -> None:
    cleaned, findings = clean(events(rows), NAMES)
    dropped = sum(finding.count for finding in findings if finding.effect == "dropped")
    assert len(cleaned) + dropped == len(rows)
    again, findings = clean(cleaned, NAMES)
    assert len(again) + sum(f.count for f in findings if f.effect == "dropped") == len(cleaned)
