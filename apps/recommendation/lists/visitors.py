"""What the log knows of the subject of a request; each part is read once, and only when it is needed."""

from collections import Counter
from collections.abc import Hashable
from datetime import datetime, timedelta
from functools import cached_property

from apps.recommendation.lists.pasts import Past
from apps.recommendation.lists.reads import LIVE, Reads
from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.scenarios import APPLICATION
from apps.recommendation.selectors import PersonalEvent, personal_events
from behavior.selectors import RecentEvent
from behavior.subjects import Subject
from decisions.selectors import count_shown_items


class Visitor:
    """The subject of one request, or of all slots of one page, at one moment; `reads` says how it is read."""

    def __init__(self, subject: Subject, now: datetime, reads: Reads = LIVE) -> None:
        self.subject = subject
        self.now = now
        self.reads = reads
        self._pasts: dict[Hashable, Past] = {}
        self._shown: dict[int, Counter[str]] = {}

    @property
    def keys(self) -> list[bytes]:
        return self.subject.keys

    @cached_property
    def recent(self) -> list[RecentEvent]:
        return self.reads.recent_events(self.keys)

    def events(self, settings: ScenarioSettings) -> list[PersonalEvent]:
        """The last events that count, oldest first."""
        return personal_events(self.recent, settings, self.past(settings).refused)

    def past(self, settings: ScenarioSettings) -> Past:
        asked = (
            settings.exclude_seen,
            settings.exclude_bought_days,
            *map(tuple, (settings.bought_types, settings.negative_types, settings.undo_types)),
        )
        if asked not in self._pasts:
            self._pasts[asked] = self.reads.past(self.keys, settings, self.now)
        return self._pasts[asked]

    def shown(self, settings: ScenarioSettings) -> Counter[str]:
        """How often each item was shown to the subject in the last hours that rotation looks back; none when off."""
        if not settings.rotation_rate:
            return Counter()
        hours = settings.rotation_hours
        if hours not in self._shown:
            since = self.now - timedelta(hours=hours)
            self._shown[hours] = count_shown_items(self.keys, application=APPLICATION, since=since)
        return self._shown[hours]
