"""The time in which a flight may be shown: from its start to its end, in the hours of the week that it targets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apps.ads.campaigns.models import EARLIEST, LATEST
from apps.ads.campaigns.targeting import HOURS_OF_WEEK, hours_of_week
from apps.ads.settings import current_settings

HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)
MONDAY = datetime(2000, 1, 3, tzinfo=UTC)


@dataclass(frozen=True)
class Schedule:
    """`hours` are those of the week, from Monday midnight in `zone`."""

    starts_at: datetime
    ends_at: datetime
    hours: frozenset[int]
    zone: ZoneInfo

    @classmethod
    def of(cls, starts_at: datetime, ends_at: datetime, targeting: Mapping[str, Any]) -> "Schedule":
        # Flights that were made when any year was taken are paced too.
        starts_at, ends_at = (min(max(each, EARLIEST), LATEST) for each in (starts_at, ends_at))
        return cls(starts_at, ends_at, frozenset(hours_of_week(targeting)), current_settings().zone)

    def seconds(self, since: datetime, until: datetime) -> float:
        """How long the flight may be shown between two moments."""
        since, until = max(since, self.starts_at), min(until, self.ends_at)
        if until <= since:
            return 0.0
        if len(self.hours) == HOURS_OF_WEEK:
            return (until - since).total_seconds()
        return max(self._by_clock(until) - self._by_clock(since), 0.0)

    def elapsed(self, now: datetime) -> float:
        """Share of its time that is over, in [0, 1]. It never falls."""
        total = self._seconds_until(self.ends_at)
        return min(self._seconds_until(now) / total, 1.0) if total else float(now >= self.ends_at)

    def days(self, until: datetime) -> int:
        """On how many days of `zone` it may be shown by then: those whose hours have begun, less those whose hours were
        over when it started."""
        if not self._seconds_until(until):
            return 0
        hours = sorted(self.hours)
        last_of_day = {hour // 24: hour for hour in hours}
        first_of_day = {hour // 24: hour for hour in reversed(hours)}
        begun, _ = self._clock(min(until, self.ends_at) - MOMENT)
        start, _ = self._clock(self.starts_at)
        return _hours_before(begun + 1, first_of_day.values()) - _hours_before(start, last_of_day.values())

    def planned(self, budget: int, daily_budget: int | None, now: datetime) -> int:
        """What an even spending over all its hours would have spent by now, in micro-units, of what the budget and all
        its days together allow; never more than the days until now allow."""
        if daily_budget is None:
            return int(budget * self.elapsed(now))
        most = min(budget, daily_budget * self.days(self.ends_at))
        return min(int(most * self.elapsed(now)), daily_budget * self.days(now))

    def _seconds_until(self, now: datetime) -> float:
        """Since the start. Where clocks are put back, the hour that they show again counts as over, unless the flight
        starts in it."""
        clock, start = now.astimezone(self.zone), self.starts_at.astimezone(self.zone)
        if clock.fold > start.fold and len(self.hours) < HOURS_OF_WEEK:
            now += HOUR - timedelta(minutes=clock.minute, seconds=clock.second, microseconds=clock.microsecond)
        return self.seconds(self.starts_at, now)

    def _by_clock(self, moment: datetime) -> float:
        """Seconds of its hours since MONDAY, as clocks on the wall count them."""
        hour, into_hour = self._clock(moment)
        whole = _hours_before(hour, self.hours) * HOUR
        return (whole + into_hour if hour % HOURS_OF_WEEK in self.hours else whole).total_seconds()

    def _clock(self, moment: datetime) -> tuple[int, timedelta]:
        """Hours that clocks on the wall count since MONDAY, and how far they are into the next one."""
        return divmod(moment.astimezone(self.zone).replace(tzinfo=UTC) - MONDAY, HOUR)


def _hours_before(hour: int, hours_of_week: Collection[int]) -> int:
    """How many of the weekly hours begin before `hour`, which is counted from MONDAY."""
    weeks, hour_of_week = divmod(hour, HOURS_OF_WEEK)
    return weeks * len(hours_of_week) + sum(each < hour_of_week for each in hours_of_week)
