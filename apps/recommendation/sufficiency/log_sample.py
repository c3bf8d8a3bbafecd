"""What the newest part of the log and the catalogue holds: at most 50,000 events and 10,000 items are read, so it costs
the same on a log of any size."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.recommendation.lists.settings import ScenarioSettings
from behavior.models import Consent
from tenancy.kept import Kept
from tenancy.scope import current_tenant_id

# Five times the largest number that any requirement asks for.
EVENTS_READ = 50_000
ITEMS_READ = 10_000
RECENT = timedelta(days=30)
KEPT_SECONDS = 60.0

# A basket: what was bought in one session, or by one subject, on one day, as in `habits`.
SAMPLE = """
    WITH newest AS MATERIALIZED (
        SELECT subject_key, session_key, type, item_id, occurred_at, consent, decision_id
        FROM behavior_event WHERE tenant_id = %(tenant)s ORDER BY event_id DESC LIMIT %(limit)s
    ),
    told AS MATERIALIZED (SELECT * FROM newest WHERE item_id IS NOT NULL AND type <> ALL(%(muted)s::text[])),
    named AS MATERIALIZED (SELECT DISTINCT item_id FROM told),
    bought AS MATERIALIZED (
        SELECT subject_key, session_key, item_id, (occurred_at AT TIME ZONE 'UTC')::date AS day
        FROM newest WHERE item_id IS NOT NULL AND type = ANY(%(bought)s::text[])
    ),
    known AS MATERIALIZED (
        SELECT categories FROM named JOIN catalog_item item
            ON item.tenant_id = %(tenant)s AND item.item_id = named.item_id
    ),
    newest_items AS MATERIALIZED (
        SELECT title FROM catalog_item WHERE tenant_id = %(tenant)s ORDER BY created_at DESC LIMIT %(items)s
    )
    SELECT (SELECT count(*) FROM newest) AS read,
        (SELECT count(*) FROM told) AS events,
        (SELECT count(*) FROM told WHERE occurred_at > %(since)s) AS recent_events,
        (SELECT count(*) FROM (SELECT FROM told GROUP BY subject_key HAVING count(*) > 1) AS each) AS subjects,
        (SELECT count(*) FROM (
            SELECT FROM bought GROUP BY coalesce(session_key, subject_key), day HAVING count(DISTINCT item_id) > 1
        ) AS each) AS baskets,
        (SELECT count(*) FROM (
            SELECT FROM bought GROUP BY subject_key HAVING count(DISTINCT item_id) > 1
        ) AS each) AS buyers,
        (SELECT count(*) FROM (
            SELECT FROM bought GROUP BY subject_key, item_id HAVING count(DISTINCT day) > 1
        ) AS each) AS bought_again,
        (SELECT count(*) FROM newest WHERE item_id IS NOT NULL AND type = ANY(%(viewed)s::text[])) AS viewed,
        (SELECT count(*) FROM named) AS items,
        (SELECT count(*) FROM known) AS known_items,
        (SELECT count(*) FROM known WHERE cardinality(categories) > 0) AS categorised,
        (SELECT count(*) FROM newest WHERE consent & %(personalisation)s <> 0) AS personalisation,
        (SELECT count(*) FROM newest WHERE consent & %(training)s <> 0) AS training,
        (SELECT count(decision_id) FROM newest) AS exposed,
        (SELECT count(*) FROM (
            SELECT DISTINCT decision_id FROM newest
            WHERE decision_id IS NOT NULL AND item_id IS NOT NULL AND consent & %(training)s <> 0
        ) AS chosen JOIN decisions_decision AS decision ON decision.tenant_id = %(tenant)s
            AND decision.decision_id = chosen.decision_id AND decision.request ? 'features') AS rankings,
        (SELECT count(*) FROM newest_items) AS catalogue,
        (SELECT count(*) FROM newest_items WHERE title <> '') AS titled,
        (SELECT max(occurred_at) FROM newest) AS last,
        (SELECT min(hour) FROM behavior_itempopularity WHERE tenant_id = %(tenant)s) AS first"""


Types = tuple[str, ...]


@dataclass(frozen=True)
class LogSample:
    """Counts of the newest events. Those of events, subjects and items leave out types that weigh nothing.

    `subjects` have at least two events, `baskets` and `buyers` at least two products; `bought_again` are products that
    one subject bought on two days. `categorised` items have a category. `exposed` events name a decision; from
    `rankings` an item was chosen. `catalogue` counts its newest 10,000 items, `titled` those of them with a title.
    `first` is the oldest hour of the whole log, `last` the newest event.
    """

    read: int
    events: int
    recent_events: int
    subjects: int
    baskets: int
    buyers: int
    bought_again: int
    viewed: int
    items: int
    known_items: int
    categorised: int
    personalisation: int
    training: int
    exposed: int
    rankings: int
    catalogue: int
    titled: int
    last: datetime | None
    first: datetime | None

    @property
    def is_whole_log(self) -> bool:
        return self.read < EVENTS_READ


_samples: Kept[LogSample] = Kept(KEPT_SECONDS, most=1_000)


def log_sample(settings: ScenarioSettings) -> LogSample:
    """The sample of the tenant in scope as it was at most a minute ago; one query."""
    muted = tuple(sorted(name for name, weight in settings.weights.items() if weight == 0))
    types = (muted, tuple(sorted(settings.bought_types)), tuple(sorted(settings.viewed_types)))
    return _samples.get(types, lambda: _read(*types))


def _read(muted: Types, bought: Types, viewed: Types) -> LogSample:
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "limit": EVENTS_READ,
        "items": ITEMS_READ,
        "muted": list(muted),
        "bought": list(bought),
        "viewed": list(viewed),
        "since": timezone.now() - RECENT,
        "personalisation": Consent.PERSONALISATION,
        "training": Consent.TRAINING,
    }
    with connection.cursor() as cursor:
        cursor.execute(SAMPLE, values)
        return LogSample(*cursor.fetchone())
