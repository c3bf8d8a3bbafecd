"""What the newest part of the log holds: at most 50,000 events are read, so it costs the same on a log of any size."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from apps.recommendation.scenarios import ScenarioSettings
from behavior.models import Consent
from tenancy.scope import current_tenant_id

# Five times the largest number that any requirement asks for.
EVENTS_READ = 50_000
RECENT = timedelta(days=30)
KEPT_SECONDS = 60.0

# A basket: what one subject bought in one session, or in one hour where the client sends no sessions.
SAMPLE = """
    WITH newest AS MATERIALIZED (
        SELECT subject_key, session_key, type, item_id, occurred_at, consent, decision_id
        FROM behavior_event WHERE tenant_id = %(tenant)s ORDER BY event_id DESC LIMIT %(limit)s
    ),
    told AS MATERIALIZED (SELECT * FROM newest WHERE item_id IS NOT NULL AND type <> ALL(%(muted)s::text[])),
    named AS MATERIALIZED (SELECT DISTINCT item_id FROM told)
    SELECT (SELECT count(*) FROM newest) AS read,
        (SELECT count(*) FROM told) AS events,
        (SELECT count(*) FROM told WHERE occurred_at > %(since)s) AS recent_events,
        (SELECT count(*) FROM (SELECT FROM told GROUP BY subject_key HAVING count(*) > 1) AS each) AS subjects,
        (SELECT count(*) FROM (
            SELECT FROM told WHERE type = ANY(%(bought)s::text[])
            GROUP BY subject_key, session_key, CASE WHEN session_key IS NULL THEN date_trunc('hour', occurred_at) END
            HAVING count(DISTINCT item_id) > 1
        ) AS each) AS baskets,
        (SELECT count(*) FROM named) AS items,
        (SELECT count(*) FROM named JOIN catalog_item item ON item.tenant_id = %(tenant)s
            AND item.item_id = named.item_id) AS known_items,
        (SELECT count(*) FROM newest WHERE consent & %(personalisation)s <> 0) AS personalisation,
        (SELECT count(*) FROM newest WHERE consent & %(training)s <> 0) AS training,
        (SELECT count(decision_id) FROM newest) AS exposed,
        (SELECT max(occurred_at) FROM newest) AS last,
        (SELECT min(hour) FROM behavior_itempopularity WHERE tenant_id = %(tenant)s) AS first"""


@dataclass(frozen=True)
class LogSample:
    """Counts of the newest events. Those of events, subjects, baskets and items leave out types that weigh nothing.

    `subjects` have at least two events, `baskets` at least two products. `exposed` events name a decision. `first` is
    the oldest hour of the whole log, `last` the newest event.
    """

    read: int
    events: int
    recent_events: int
    subjects: int
    baskets: int
    items: int
    known_items: int
    personalisation: int
    training: int
    exposed: int
    last: datetime | None
    first: datetime | None

    @property
    def is_whole_log(self) -> bool:
        return self.read < EVENTS_READ


_samples: dict[tuple[int, tuple[str, ...], tuple[str, ...]], tuple[float, LogSample]] = {}


def log_sample(settings: ScenarioSettings) -> LogSample:
    """The sample of the tenant in scope as it was at most a minute ago; one query."""
    muted = tuple(sorted(name for name, weight in settings.event_weights.items() if weight == 0))
    key = (current_tenant_id(), muted, tuple(sorted(settings.bought_types)))
    known = _samples.get(key)
    if known is None or time.monotonic() - known[0] > KEPT_SECONDS:
        for old in [each for each, (read_at, _) in _samples.items() if time.monotonic() - read_at > KEPT_SECONDS]:
            _samples.pop(old, None)
        known = _samples[key] = (time.monotonic(), _read(muted, key[2]))
    return known[1]


def _read(muted: tuple[str, ...], bought: tuple[str, ...]) -> LogSample:
    values = {
        "tenant": current_tenant_id(),
        "limit": EVENTS_READ,
        "muted": list(muted),
        "bought": list(bought),
        "since": timezone.now() - RECENT,
        "personalisation": Consent.PERSONALISATION,
        "training": Consent.TRAINING,
    }
    with connection.cursor() as cursor:
        cursor.execute(SAMPLE, values)
        return LogSample(*cursor.fetchone())
