"""A client's wrong clock neither moves events into the future nor hides when they happened."""

from hypothesis import given
from hypothesis import strategies as st

from behavior.clock import correct_time
from behavior.models import TimeQuality

MICROS = st.integers(0, 4_000_000_000_000_000)
NOON = 1_790_000_000_000_000
HOUR = 3_600_000_000


def test_the_clients_delay_is_kept_and_its_clock_is_not() -> None:
    three_hours_wrong = NOON + 3 * HOUR
    created, sent = three_hours_wrong - 60_000_000, three_hours_wrong
    assert correct_time(created, sent, NOON) == (NOON - 60_000_000, TimeQuality.CORRECTED)


def test_sent_before_created_counts_as_no_delay() -> None:
    assert correct_time(NOON, NOON - 5, NOON + HOUR) == (NOON + HOUR, TimeQuality.CLAMPED)


def test_without_sent_at_the_client_is_believed_but_for_the_future() -> None:
    assert correct_time(NOON - HOUR, None, NOON) == (NOON - HOUR, TimeQuality.CLIENT)
    assert correct_time(NOON + HOUR, None, NOON) == (NOON, TimeQuality.CLAMPED)
    assert correct_time(None, NOON, NOON) == (NOON, TimeQuality.SERVER)


@given(created=st.none() | MICROS, sent=st.none() | MICROS, received=MICROS)
def test_nothing_happens_after_it_was_received(created: int | None, sent: int | None, received: int) -> None:
    occurred, _ = correct_time(created, sent, received)
    assert occurred <= received


@given(created=MICROS, delay=st.integers(0, HOUR), received=MICROS, skew=st.integers(0, HOUR))
def test_a_constant_error_of_the_clock_changes_nothing(created: int, delay: int, received: int, skew: int) -> None:
    right = correct_time(created, created + delay, received)
    assert correct_time(created + skew, created + delay + skew, received) == right
