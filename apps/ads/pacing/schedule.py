"""The time in which a flight may be shown: from its start to its end, in the hours of the week that it targets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apps.ads.campaigns.targeting import HOURS_OF_WEEK, hours_of_week
from apps.ads.settings import current_settings

HOUR = 3600.0  # seconds
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
        """Share of its time that is over, in [0, 1]."""
        total = self.seconds(self.starts_at, self.ends_at)
        return self.seconds(self.starts_at, now) / total if total else float(now >= self.ends_at)

    @property
    def days(self) -> int:
        """On how many days of `zone` it may be shown."""
        first = self.starts_at.astimezone(self.zone).date()
        last = (self.ends_at - timedelta(microseconds=1)).astimezone(self.zone).date()
        weekdays = {hour // 24 for hour in self.hours}
        return sum((first + timedelta(days=each)).weekday() in weekdays for each in range((last - first).days + 1))

    def planned(self, budget: int, daily_budget: int | None, now: datetime) -> int:
        """What an even spending over all its hours would have spent by now, in micro-units, of what the budget and all
        its days together allow."""
        most = budget if daily_budget is None else min(budget, daily_budget * self.days)
        return int(most * self.elapsed(now))

    def _by_clock(self, moment: datetime) -> float:
        """Seconds since a Monday long ago, as clocks on the wall count them."""
        clock = moment.astimezone(self.zone).replace(tzinfo=UTC)
        hours, into_hour = divmod((clock - MONDAY).total_seconds(), HOUR)
        weeks, hour = divmod(int(hours), HOURS_OF_WEEK)
        whole = weeks * len(self.hours) + sum(each < hour for each in self.hours)
        return whole * HOUR + (into_hour if hour in self.hours else 0.0)
